"""Colour normalisation of option values before they are compared (WebShop normalize module).

The word list is that of princeton-nlp/WebShop, MIT licence, (c) 2023 Princeton Natural Language Processing.
"""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache

_WORDS = """
alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown
burgundy camel camo caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac
copper coral cranberry cream crystal dark denim eggplant elephant espresso fuchsia gold granite
grape graphite grass gray green grey heather indigo ivory ivy khaki lavender lemon leopard light
lilac lime magenta maroon mauve merlot midnight mint mocha multicolor mushroom mustard natural navy
nude olive orange peach pewter pink plum purple rainbow red rose royal rust sand sapphire seashell
silver skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut
wheat white wine yellow
"""
#: Alphabetical; the first word that occurs decides ("navy blue" -> "blue", "titan" -> "tan").
COLOR_WORDS: tuple[str, ...] = tuple(_WORDS.split())


@lru_cache(maxsize=65536)
def normalize_color(option: str | tuple[str, str]) -> str | tuple[str, str]:
    """The first colour word inside the option, else the option itself; case-sensitive.

    Synthetic goals pass (name, value) pairs: there a word counts only when it IS the name or the value,
    because the reference tests membership in the pair.
    """
    container: Container[str] = option
    for word in COLOR_WORDS:
        if word in container:
            return word
    return option
