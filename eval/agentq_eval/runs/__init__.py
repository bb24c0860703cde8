"""Evaluations on disk: what was planned, every episode that ended, and how each was played."""
