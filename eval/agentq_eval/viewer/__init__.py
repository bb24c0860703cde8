"""A local web app over runs and trajectory logs: what the agent saw, what it could have done, what it chose."""
