"""Set-up, servers, supervisor: nothing is missing at the start and nothing left at the end."""
