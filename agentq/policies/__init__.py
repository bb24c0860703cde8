"""Who proposes candidate actions."""
