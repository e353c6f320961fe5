"""Regions too large for one search: planned in parts, put together by a choice among all routes."""
