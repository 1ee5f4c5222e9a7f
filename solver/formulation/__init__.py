"""The formulation: what exact solvers choose among, and plans to and from their decisions."""
