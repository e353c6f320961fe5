"""Everything on one bare machine: set-up, servers and the processes of a day."""
