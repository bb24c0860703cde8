from __future__ import annotations

import pytest

from agentq.errors import ConfigError, MissingExtraError
from agentq_envs.webshop.nouns import (
    NounTagger,
    RuleTagger,
    SpacyTagger,
    StopWordTagger,
    make_tagger,
    spacy_available,
)
from agentq_envs.webshop.reward import compare_types

SOUNDBAR = "Saireed UL Listed 2 Prong Power Cord for JBL Bar 3.1 Bar 2.1 Channel 4K Ultra HD Soundbar"
CABLE = (
    "BRST AC Power Cord Outlet Socket Cable Plug Lead for Panasonic SC-HT830V "
    "DVD/VCR Combo Home Theater System"
)


def title_score(tagger: NounTagger, goal: str, bought: str) -> float:
    return compare_types(("a", "x", tagger.nouns(bought)), ("b", "y", tagger.nouns(goal))).title_score


@pytest.mark.parametrize(
    ("goal", "bought", "low", "high"),
    [
        # Figures of the reference with spaCy: 0.3, 0.15, below 0.05.
        (f"{SOUNDBAR} Home Theater System Subwoofer", CABLE, 0.29, 0.31),
        (SOUNDBAR, CABLE, 0.14, 0.16),
        ("Mens Basketball Sneakers Shoes Casual - Off White", CABLE, 0.0, 0.05),
    ],
)
def test_rules_agree_with_the_published_title_scores(goal: str, bought: str, low: float, high: float) -> None:
    assert low <= title_score(RuleTagger(), goal, bought) <= high


def test_rules_drop_function_words_numbers_and_lower_case_adjectives() -> None:
    nouns = RuleTagger().nouns("Women's set of 2 washable wooden spoons with a long handle, 30cm x 4K")
    assert nouns == ("women", "set", "wooden", "spoons", "handle", "cm", "k")


def test_the_stub_keeps_every_other_word() -> None:
    assert StopWordTagger().nouns("The Mug's 2 handles") == ("mug", "handles")


def test_taggers_by_name() -> None:
    assert make_tagger("rules").name == "rules-1"
    assert make_tagger("stopwords").name == "stopwords-1"
    tagger = RuleTagger()
    assert make_tagger(tagger) is tagger
    with pytest.raises(ConfigError, match="unknown noun tagger 'nltk'"):
        make_tagger("nltk")


def test_auto_uses_spacy_only_when_its_model_is_there() -> None:
    assert make_tagger("auto").name.startswith("spacy:" if spacy_available() else "rules-")


def test_a_missing_model_names_the_install_command() -> None:
    with pytest.raises(
        MissingExtraError, match=r"pip install spacy && python -m spacy download no_such_model"
    ):
        SpacyTagger("no_such_model")
