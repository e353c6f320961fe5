"""Large neighbourhood search: compiled code ruins and recreates a plan, thousands of times a second."""
