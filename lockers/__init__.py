"""Lockers, compartments, codes, doors and the device link; knows no other app."""
