"""Language models and encoders: loading, fingerprints, tokenisation of states and actions."""
