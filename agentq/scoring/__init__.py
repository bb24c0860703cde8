"""How N candidates of one state are scored at the cost of about one."""
