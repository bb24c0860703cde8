"""Noun taggers for the title part of the reward; results always name the tagger that was used.

The reference tags titles with spaCy (``en_core_web_sm``) and keeps tokens tagged NOUN or PROPN. spaCy is
optional here: without it, ``RuleTagger`` decides by closed word classes and endings.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any, Protocol, runtime_checkable

from agentq.errors import ConfigError, MissingExtraError
from agentq_envs.webshop.word_classes import ADJECTIVE_ENDINGS, ADJECTIVES, NEVER_NOUNS, STUB_WORDS

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

    def nouns(self, title: str) -> tuple[str, ...]:
        """All words but the function words."""
        words = (word.lower() for word in self._WORD.findall(title))
        return tuple(word for word in words if word not in STUB_WORDS)


class RuleTagger:
    """Nouns by closed word lists, capitals and endings.

    A word is a maximal run of letters with inner apostrophes and dots; a final 's is dropped. Function
    words and common verb forms are never nouns. Of the others a word with a capital letter is one, even an
    adjective ("Ultra"): taggers see names in the capitalised words of titles. Lower-case words are nouns
    unless they are single letters, listed adjectives, or end like adjectives and adverbs.
    """

    name = "rules-1"
    _WORD = re.compile(r"[^\W\d_]+(?:['’.][^\W\d_]+)*")
    _POSSESSIVE = re.compile(r"['’][sS]$")

    def nouns(self, title: str) -> tuple[str, ...]:
        """The words that no rule excludes."""
        words = (self._POSSESSIVE.sub("", word) for word in self._WORD.findall(title))
        return tuple(word.lower() for word in words if self._is_noun(word))

    def _is_noun(self, word: str) -> bool:
        lowered = word.lower()
        if lowered in NEVER_NOUNS:
            return False
        if word != lowered:
            return True
        if len(word) < 2 or lowered in ADJECTIVES:
            return False
        return len(word) < 5 or not word.endswith(ADJECTIVE_ENDINGS)


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
