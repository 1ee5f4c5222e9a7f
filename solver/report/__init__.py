"""Figures and tables of plans and comparisons, one a file."""
