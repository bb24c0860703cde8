"""ALFWorld data: official game files, packed games, our own games."""
