"""Batches: many requests in one file, answered when there is room, each recorded exactly once."""
