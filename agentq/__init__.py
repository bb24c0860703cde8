"""AgentQ: policies propose, critics value, selectors choose."""
