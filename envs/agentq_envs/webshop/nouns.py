"""Noun taggers for the title part of the reward; results always name the tagger that was used.

The reference tags titles with spaCy (``en_core_web_sm``) and keeps tokens tagged NOUN or PROPN. spaCy is
optional here: without it, ``RuleTagger`` decides by closed word classes and endings.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any, Protocol, runtime_checkable

from agentq.errors import ConfigError, MissingExtraError

SPACY_MODEL = "en_core_web_sm"


@runtime_checkable
class NounTagger(Protocol):
    """Finds the nouns of a product title."""

    @property
    def name(self) -> str:
        """Identifies the tagger and its version in results."""
        ...

    def nouns(self, title: str) -> tuple[str, ...]:
        """The lower-cased nouns in order, repetitions kept."""
        ...


class SpacyTagger:
    """spaCy with an installed model, as the reference; raises MissingExtraError without it."""

    def __init__(self, model: str = SPACY_MODEL) -> None:
        if not spacy_available(model):
            raise MissingExtraError(
                f"the noun tagger 'spacy' needs spaCy and its model {model!r}. Install them with "
                f"`pip install spacy && python -m spacy download {model}`, or use noun_tagger='rules'."
            )
        import spacy  # type: ignore[import-not-found]

        self._pipeline: Any = spacy.load(model, disable=["parser", "ner", "lemmatizer"])
        self._name = f"spacy:{model}-{self._pipeline.meta.get('version', '?')}"

    @property
    def name(self) -> str:
        """``spacy:<model>-<version>``."""
        return self._name

    def nouns(self, title: str) -> tuple[str, ...]:
        """Tokens that the model tags as NOUN or PROPN."""
        return tuple(token.text.lower() for token in self._pipeline(title) if token.pos_ in ("NOUN", "PROPN"))


class StopWordTagger:
    """The stub behind the reference vectors: every run of ASCII letters except 45 function words."""

    name = "stopwords-1"
    _WORD = re.compile(r"[A-Za-z]+")
    _FUNCTION_WORDS = frozenset(
        "a an and are as at be but by for from if in into is it no not of on or our s such t that the their "
        "then there these they this to was we will with you your".split()
    )

    def nouns(self, title: str) -> tuple[str, ...]:
        """All words but the function words."""
        words = (word.lower() for word in self._WORD.findall(title))
        return tuple(word for word in words if word not in self._FUNCTION_WORDS)


class RuleTagger:
    """Nouns by rule: a word counts unless it is a function word, number, unit, or looks like an adjective,
    adverb or verb form.

    A word is a maximal run of letters, digits, inner apostrophes, dots and hyphens; it is dropped when it
    contains a digit, has fewer than two letters, is in the closed lists below, or ends like a typical
    adjective or adverb. Product titles capitalise nearly every word, so case decides nothing.
    """

    name = "rules-1"
    _WORD = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")
    _DIGIT = re.compile(r"\d")
    _ENDINGS = (
        "able",
        "ible",
        "less",
        "ful",
        "ous",
        "proof",
        "resistant",
        "free",
        "ly",
        "ish",
        "ic",
        "ical",
        "est",
    )
    _NOT_NOUNS = frozenset(
        # articles, pronouns, prepositions, conjunctions, auxiliaries
        "a an and any all are as at be both but by can each every for from has have her his if in into is it its "
        "more most my no non not of off on only onto or other our out over own per s so some such t than that the "
        "their then there these they this those to too under up upon us very via vs was we were what when where "
        "which while who will with within without would you your about above across after against along among "
        "around before behind below between during except inside near outside since through toward until "
        # frequent adjectives of product titles
        "new old big small large medium mini tiny huge long short high low wide narrow deep thin thick slim tall "
        "fat full half double single triple multi hot cold cool warm dry wet soft hard light heavy lightweight "
        "strong solid smooth rough sharp fine fresh clean clear pure natural organic real true fake faux artificial "
        "good great best better nice perfect premium super ultra extra deluxe professional modern classic vintage "
        "retro casual formal sexy cute elegant beautiful pretty stylish funny novelty fashionable unique special "
        "easy quick fast slow safe loose tight flat round square oval rectangular straight curved open closed "
        "adjustable portable removable reusable disposable waterproof compatible universal wireless digital smart "
        "electric electronic automatic manual active daily outdoor indoor upper lower front rear top left right "
        "black white red blue green yellow orange purple pink brown gray grey beige navy gold silver dark bright "
        "personal original traditional international american european "
        # verb forms and participles that rarely head a noun phrase
        "make makes made get gets use uses used using include includes included including listed designed built "
        "printed handmade handcrafted upgraded updated removes helps keep keeps wear fits fit set come comes".split()
    )

    def nouns(self, title: str) -> tuple[str, ...]:
        """The words that no rule excludes."""
        words = (word.lower() for word in self._WORD.findall(title))
        return tuple(word for word in words if self._is_noun(word))

    def _is_noun(self, word: str) -> bool:
        if self._DIGIT.search(word) or len(word) < 2 or word in self._NOT_NOUNS:
            return False
        return len(word) < 5 or not word.endswith(self._ENDINGS)


def spacy_available(model: str = SPACY_MODEL) -> bool:
    """Whether spaCy and the model are installed; imports neither."""
    return all(importlib.util.find_spec(name) is not None for name in ("spacy", model))


def make_tagger(choice: str | NounTagger = "auto") -> NounTagger:
    """A tagger by name: "spacy", "rules", "stopwords", or "auto" (spaCy when installed, else rules).

    A tagger object is returned as it is. Raises ConfigError for another name, MissingExtraError for
    "spacy" without spaCy or its model.
    """
    if not isinstance(choice, str):
        return choice
    if choice == "auto":
        return SpacyTagger() if spacy_available() else RuleTagger()
    makers: dict[str, type[SpacyTagger] | type[RuleTagger] | type[StopWordTagger]] = {
        "spacy": SpacyTagger,
        "rules": RuleTagger,
        "stopwords": StopWordTagger,
    }
    if choice not in makers:
        raise ConfigError(
            f"unknown noun tagger {choice!r}, expected auto, spacy, rules, stopwords or a tagger object."
        )
    return makers[choice]()
