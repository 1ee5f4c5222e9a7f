"""How plans are found, judged and drawn."""
