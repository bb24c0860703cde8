"""Who values candidate actions."""
