"""Our own small Wikipedia with questions over two pages, made from a seed."""

from __future__ import annotations

from agentq_data.hotpotqa.generator.writer import REGIONS, WORLD_VERSION, World, generate, write_world

__all__ = ["REGIONS", "WORLD_VERSION", "World", "generate", "write_world"]
