"""Pure tensor functions, one file per paper."""
