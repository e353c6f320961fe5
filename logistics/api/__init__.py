"""REST over the services of logistics."""
