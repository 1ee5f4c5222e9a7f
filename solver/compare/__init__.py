"""Solvers, policies and variants side by side."""
