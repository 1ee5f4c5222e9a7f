"""What the hypervisor's scheduler makes of a plan: a discrete-event simulation."""
