"""The picture of a plan: where everything is, and its drawers."""
