"""What people look at: dashboard, pictures, plots, tables."""
