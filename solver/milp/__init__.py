"""The mixed-integer formulation, through PuLP."""
