"""Online placement, one virtual machine at a time."""
