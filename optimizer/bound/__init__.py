"""A lower bound on the cost of any plan, by column generation."""
