"""Who chooses among valued candidates."""
