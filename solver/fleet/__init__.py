"""Whole fleets by patterns of one host."""
