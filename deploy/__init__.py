"""How Dorfbote is set up and run."""
