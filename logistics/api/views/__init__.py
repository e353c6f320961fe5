"""Views by who uses them: in, one call, out."""
