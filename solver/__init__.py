"""How plans are found; `registry.solve` is the way in."""
