"""A run under faults: what is killed, frozen and cut off, who works meanwhile, and who judges."""
