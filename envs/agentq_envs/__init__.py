"""Environments of AgentQ."""
