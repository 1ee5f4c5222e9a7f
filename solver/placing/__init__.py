"""Placing one virtual machine at a time: for plans, and for traces."""
