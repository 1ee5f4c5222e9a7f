"""Tables as CSV: sizes of VMs, and traces."""
