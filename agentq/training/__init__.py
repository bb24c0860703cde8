"""Training loops over accelerate."""
