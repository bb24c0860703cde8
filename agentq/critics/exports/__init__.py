"""Critics as models that a server computes, one file per format."""
