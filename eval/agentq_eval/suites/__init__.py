"""Suites: what is played, by which arms, and how it is measured. One YAML file each."""
