"""WebShop in pure Python."""
