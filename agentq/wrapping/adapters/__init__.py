"""One file per framework, named like its top module; each has ``wrap(agent, guide) -> object | None``."""
