"""Plans one day of shared runs: a problem in, a checked result out."""
