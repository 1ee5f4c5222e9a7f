"""Properties that hold for whatever instance comes."""
