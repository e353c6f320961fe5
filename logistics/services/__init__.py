"""Every write of logistics, one module per aggregate."""
