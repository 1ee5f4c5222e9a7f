"""Results as tables: in a terminal, as JSON, as CSV."""
