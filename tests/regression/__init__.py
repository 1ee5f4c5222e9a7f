"""Faults that were found once and must not come back."""
