"""VMs of a trace, placed one at a time as they come, on a fleet kept as arrays."""
