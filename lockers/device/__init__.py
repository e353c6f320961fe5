"""What runs inside a locker, and its simulator: plain Python, no framework, no server code."""
