"""What people see: tables, figures, pictures of plans, pages."""
