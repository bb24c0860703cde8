"""Frozen features of a backbone, computed once, stored on disk."""
