"""WebShop data: official files, our own catalogue."""
