"""Our own shop catalogue in the official WebShop file format, made from a seed."""

from __future__ import annotations

from agentq_data.webshop.generator.writer import (
    CATALOGUE_VERSION,
    Catalogue,
    CatalogueFiles,
    Family,
    generate,
    write_catalogue,
)

__all__ = ["CATALOGUE_VERSION", "Catalogue", "CatalogueFiles", "Family", "generate", "write_catalogue"]
