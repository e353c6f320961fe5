"""
One locker, its people and all their bad luck, in virtual time: the real device over a simulated cabinet, the
real services over a database, and between them a network that loses, doubles and delays.

What really lies behind each door is known here, so that what the database believes can be judged by it.
"""
