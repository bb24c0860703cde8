"""Subcommands that the evaluation adds to ``agentq``."""
