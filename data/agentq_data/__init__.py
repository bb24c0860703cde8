"""Readers of official data formats, generators of our own data, bundled assets."""
