"""Who chooses among valued candidates: one selector per file, the file's name is the selector's name."""

from agentq.selectors.registry import load_selector, options_of, selector_names

__all__ = ["load_selector", "options_of", "selector_names"]
