"""Django's SQLite backend with writers that stand in line."""
