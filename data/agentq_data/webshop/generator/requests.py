"""Instructions: how people ask for a product, in many phrasings.

A pattern has one of these slots: {np} noun phrase with its attributes ("easy clean sofa with metal
legs"), {anp} the same with its article, {kind} and {akind} the bare noun with {rel} (a relative clause)
or {list} (attributes in a row). Human requests weave the options in through {opts}.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentq_data.dice import Dice
from agentq_data.webshop.generator.attributes import ADJECTIVE, PART, Attribute
from agentq_data.webshop.generator.choices import OptionPool
from agentq_data.webshop.generator.kinds import Kind

PATTERNS: tuple[str, ...] = (
    "find me {np}",
    "find me {anp}",
    "find {anp} for me",
    "i'm looking for {anp}",
    "i am looking for {anp}",
    "looking for {anp}",
    "i need {anp}",
    "i need to buy {anp}",
    "i want {anp}",
    "i want to buy {anp}",
    "i would like {anp}",
    "i would like to order {anp}",
    "i'd like to get {anp}",
    "can you find me {anp}",
    "can you help me find {anp}",
    "could you show me {anp}",
    "please find me {anp}",
    "please get me {anp}",
    "show me {anp}",
    "get me {anp}",
    "buy me {anp}",
    "help me find {anp}",
    "let me see {anp}",
    "order {anp} for me",
    "need {anp} please",
    "hello, i'm looking for {anp}",
    "hi, can you find {anp}",
    "my friend wants {anp}",
    "my wife asked me for {anp}",
    "we ran out, so get {anp}",
    "i'm shopping for {anp}",
    "i'm interested in {anp}",
    "i'm searching for {anp}",
    "do you have {anp}",
    "where can i buy {anp}",
    "i'm looking for {akind} {rel}",
    "find me {akind} {rel}",
    "can you find me {akind} {rel}",
    "i need {akind} {rel}",
    "i want {akind} {rel}",
    "show me {akind} {rel}",
    "i'm trying to find {akind} {rel}",
    "get {akind} {rel}",
    "{akind} {rel} is what i need",
    "{kind}, {list}",
    "{list} {kind}",
    "i need {kind} and it must have or be {list}",
    "{kind} wanted, {list}",
    "it should be {list}, i mean the {kind}",
    "looking to buy {kind}, must be {list}",
    "searching {kind}, has to be {list}",
    "{np} please",
)

_TYPED = (("i'm", "im"), ("i'd", "id"), ("please", "pls"), ("i am", "i'm"), ("you", "u"))


def article(words: str) -> str:
    """ "a" or "an" in front of the words."""
    return "an" if words[:1].lower() in "aeiou" and not words.startswith(("us", "uv")) else "a"


def _joined(texts: Sequence[str]) -> str:
    """ "x", "x and y", "x, y and z"."""
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]


def _split(attributes: Sequence[Attribute]) -> tuple[list[str], list[str], list[str]]:
    adjectives = [a.text for a in attributes if a.role == ADJECTIVE]
    parts = [a.text for a in attributes if a.role == PART]
    uses = [a.text for a in attributes if a.role not in (ADJECTIVE, PART)]
    return adjectives, parts, uses


def noun_phrase(kind: Kind, attributes: Sequence[Attribute], dice: Dice, front: str = "") -> str:
    """Kind with its attributes around it; ``front`` is an option value set before everything."""
    adjectives, parts, uses = _split(attributes)
    comma = ", " if dice.chance(0.5) else " "
    words = comma.join(adjectives)
    phrase = " ".join(w for w in (front, words, kind.name) if w)
    if parts:
        phrase += f" with {_joined(parts)}"
    if uses:
        phrase += f" for {_joined(uses)}"
    return phrase


def _relative(attributes: Sequence[Attribute], dice: Dice) -> str:
    adjectives, parts, uses = _split(attributes)
    clauses: list[str] = []
    if adjectives:
        clauses.append(f"{dice.pick(('is', 'should be', 'must be'))} {_joined(adjectives)}")
    if parts:
        clauses.append(f"{dice.pick(('has', 'comes with', 'includes'))} {_joined(parts)}")
    if uses:
        clauses.append(f"{dice.pick(('is good for', 'works for', 'is made for'))} {_joined(uses)}")
    return "that " + _joined(clauses)


def _fill(pattern: str, kind: Kind, attributes: Sequence[Attribute], dice: Dice, front: str = "") -> str:
    phrase = noun_phrase(kind, attributes, dice, front)
    bare = f"{front} {kind.name}".strip()
    listed = [a.text for a in attributes]
    return pattern.format(
        np=phrase,
        anp=f"{article(phrase)} {phrase}" if kind.article else phrase,
        kind=bare,
        akind=f"{article(bare)} {bare}" if kind.article else bare,
        rel=_relative(attributes, dice),
        list=(", " if dice.chance(0.6) else " ").join(listed),
    )


def _sloppy(text: str, dice: Dice) -> str:
    for proper, typed in _TYPED:
        if dice.chance(0.2):
            text = text.replace(proper + " ", typed + " ", 1)
    return text


def instruction(kind: Kind, attributes: Sequence[Attribute], dice: Dice) -> str:
    """A request that names the kind and the attributes; the engine appends options and price."""
    text = _sloppy(_fill(dice.pick(PATTERNS), kind, dice.shuffled(attributes), dice), dice)
    return text[0].upper() + text[1:] if dice.chance(0.2) else text


def human_instruction(
    kind: Kind, attributes: Sequence[Attribute], options: Sequence[tuple[OptionPool, str]], dice: Dice
) -> str:
    """A request with the option values woven in: in front of the noun, behind it, or in a second sentence."""
    front, tails = "", []
    for pool, value in options:
        if pool.before and not front and dice.chance(0.5):
            front = value
        else:
            tails.append(dice.pick(pool.phrases).format(v=value))
    text = _fill(dice.pick(PATTERNS), kind, dice.shuffled(attributes), dice, front)
    if tails and dice.chance(0.3):
        text += dice.pick((". i want it ", ". it should come ", ". make it ")) + _joined(tails)
    elif tails:
        text += (", " if dice.chance(0.5) else " ") + _joined(tails)
    return _sloppy(text, dice) + ("." if dice.chance(0.3) else "")
