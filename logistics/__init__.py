"""Regions, shops, orders, pools, plans, runs and people; orchestrates lockers and optimizer."""
