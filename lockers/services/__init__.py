"""Every write of the lockers app, one module per aggregate."""
