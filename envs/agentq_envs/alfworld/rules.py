"""The rules that the native simulator knows, recognised by fingerprints of domain and grammar.

All official games carry one domain and one grammar; the package has slightly other ones, our own games a
third pair. All three mean the same commands and texts, up to the receptacles that clean. A game with any
other rules must not be played by rules that only look alike.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from agentq.errors import DataError
from agentq_data.alfworld.game_file import PLACEHOLDER, GameFile

_COMMENT = re.compile(r";[^\n]*")


@dataclass(frozen=True, slots=True)
class Rules:
    """Receptacle types that change an object, by the change, in lower case with their ending."""

    name: str
    devices: Mapping[str, frozenset[str]]


def _rules(name: str, *sinks: str) -> Rules:
    devices = {"clean": sinks, "hot": ("microwavetype",), "cool": ("fridgetype",)}
    return Rules(name, {change: frozenset(types) for change, types in devices.items()})


#: Fingerprint of a domain -> its rules.
DOMAINS: Mapping[str, Rules] = {
    "e733dcfa5154f9d53cbe57f3a9538fac6258eb371abd658b6a15de4c28faa85f": _rules(
        "official", "sinktype", "sinkbasintype"
    ),
    "915e118f4f32b4d826bf53c99e860dd85831afffb1a31ad333f063ce005b7122": _rules(
        "package-0.4.2", "sinkbasintype"
    ),
    "7f17220832d026deecb77c14844f42808e6ca6e85ab146f3bae53b2a768208b1": _rules(
        "household", "sinktype", "sinkbasintype"
    ),
}
RULES: Mapping[str, Rules] = {rules.name: rules for rules in DOMAINS.values()}
#: Fingerprints of the grammars that speak as the simulator does.
GRAMMARS = frozenset(
    {
        "5fb7a5abf4ffd49fc595a679ecba89744f8c6b2b7e80b7d891200c42a02be72f",  # official
        "49281f55d68cf8db1f80636d6247beb078daac200a340bedf133da0b161211fb",  # package 0.4.2
        "6d23c41110bcf8ab25687b3fb59eb6e11961c7fcc4b22c1906c408f696af90d0",  # household
    }
)


def rules_of(game: GameFile) -> Rules:
    """The rules of a game. Raises DataError when they are none of those known here."""
    template = game.grammar.replace(f"Your task is to: {game.goal_text}.", f"Your task is to: {PLACEHOLDER}.")
    rules = DOMAINS.get(domain_fingerprint(game.domain))
    if rules is None or grammar_fingerprint(template) not in GRAMMARS:
        part = "domain" if rules is None else "grammar"
        raise DataError(
            f"{game.game_id}: its {part} is none of those that the native simulator knows "
            f"({', '.join(RULES)}; the commands of ALFWorld 0.4 and later). Make the game again with a current "
            "generator, or play it with backend='textworld'."
        )
    return rules


@lru_cache(maxsize=16)
def domain_fingerprint(text: str) -> str:
    """SHA-256 in hex of a domain without comments, case and spacing."""
    return _digest(_COMMENT.sub("", text).lower().replace("(", " ( ").replace(")", " ) "))


@lru_cache(maxsize=16)
def grammar_fingerprint(text: str) -> str:
    """SHA-256 in hex of a grammar template without spacing."""
    return _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
