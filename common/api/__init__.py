"""What every endpoint shares: parsing, pages, problems, idempotent requests."""
