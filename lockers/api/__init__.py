"""The HTTPS form of the locker link."""
