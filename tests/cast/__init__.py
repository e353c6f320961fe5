"""The people of a day: what they wish for, invented from a seed."""
