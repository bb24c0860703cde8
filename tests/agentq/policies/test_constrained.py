from __future__ import annotations

import random
from pathlib import Path

import pytest

from agentq.backbones import Backbone, BackboneConfig, load_backbone
from agentq.errors import CandidateError
from agentq.policies.constrained import END, FREE_TEXT, ActionGrammar, ActionVocabulary


@pytest.fixture(scope="module")
def vocabulary(tiny_model_folder: Path) -> ActionVocabulary:
    return ActionVocabulary(load_backbone(BackboneConfig(name=str(tiny_model_folder))))


@pytest.fixture(scope="module")
def merging() -> ActionVocabulary:
    """A tokenizer that merges brackets with letters, as those of large models do."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*alphabet, "[r", "d]", "ed", "red", "re", "]]", "a)", "[]"]
    merges = [("[", "r"), ("d", "]"), ("e", "d"), ("r", "e"), ("]", "]"), ("a", ")"), ("[", "]")]
    core = Tokenizer(models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", pad_token="<|pad|>")
    return ActionVocabulary(Backbone(None, tokenizer, BackboneConfig(name="merging")))  # type: ignore[arg-type]


def _accepts(grammar: ActionGrammar, ids: list[int]) -> bool:
    """Whether the automaton can spell exactly these ids."""
    begin = grammar.begin()
    if list(begin.forced) != ids[: len(begin.forced)]:
        return False
    state, rest = begin.state, ids[len(begin.forced) :]
    while rest and state != END:
        allowed = grammar.allowed(state)
        ok = (
            rest[0] in allowed.ids
            if allowed.ids is not None
            else allowed.mask is None or allowed.mask[rest[0]]
        )
        if not ok:
            return False
        follow = grammar.follow(state, rest[0])
        if list(follow.forced) != rest[1 : 1 + len(follow.forced)]:
            return False
        state, rest = follow.state, rest[1 + len(follow.forced) :]
    return state == END and not rest


def test_every_admissible_action_is_spelt_as_in_training(vocabulary: ActionVocabulary) -> None:
    actions = ["click[a]", "click[ab]", "click[a] ", "search", "click[é]"]
    grammar = vocabulary.grammar(actions)
    backbone = vocabulary._backbone
    for action in actions:
        assert _accepts(grammar, backbone.action_ids(action))
        assert grammar.literal(tuple(backbone.action_ids(action))) == action
    assert not _accepts(grammar, backbone.action_ids("click[b]"))
    assert vocabulary.grammar(list(actions)) is grammar  # cached on the actions


def test_free_text_slot_takes_any_line_and_nothing_else(vocabulary: ActionVocabulary) -> None:
    backbone = vocabulary._backbone
    grammar = vocabulary.grammar([f"search[{FREE_TEXT}]", "click[a]"])
    for text in ("red mug", "é 漢", "[x"):
        assert _accepts(grammar, backbone.action_ids(f"search[{text}]"))
    for refused in ("search[]", "search[a]b]", "search[a", "search[a\nb]", "search[a]]", "click[b]"):
        assert not _accepts(grammar, backbone.action_ids(refused))


def test_longer_closing_text_and_open_ends(vocabulary: ActionVocabulary) -> None:
    backbone = vocabulary._backbone
    grammar = vocabulary.grammar([f'type("{FREE_TEXT}")', f"say {FREE_TEXT}"])
    assert _accepts(grammar, backbone.action_ids('type("red mug")'))
    assert not _accepts(grammar, backbone.action_ids('type("red"mug")'))
    assert not _accepts(grammar, backbone.action_ids('type("red"'))
    assert _accepts(grammar, backbone.action_ids("say hello [x]"))
    assert not _accepts(grammar, backbone.action_ids("say "))


def test_tokens_across_the_slot_boundaries_spell_as_in_training(merging: ActionVocabulary) -> None:
    backbone = merging._backbone
    grammar = merging.grammar([f"s[{FREE_TEXT}]"])
    for action in ("s[red]", "s[xd]", "s[r]", "s[bed mug]"):
        ids = backbone.action_ids(action)
        assert _accepts(grammar, ids), action
    assert merging.texts[backbone.action_ids("s[red]")[1]] == "[r"  # the spelling crosses the boundary
    assert not _accepts(grammar, backbone.action_ids("s[]"))
    assert not _accepts(grammar, backbone.action_ids("s[a]]"))


def test_random_walks_end_in_admissible_text(merging: ActionVocabulary) -> None:
    grammar = merging.grammar([f"s[{FREE_TEXT}]", "click[red]"])
    rng = random.Random(0)
    for _ in range(100):
        follow = grammar.begin()
        ids = list(follow.forced)
        while follow.state != END and len(ids) < 4000:
            allowed = grammar.allowed(follow.state)
            mask = allowed.mask
            tokens = [int(i) for i in (allowed.ids if mask is None else mask.nonzero()[0])]  # type: ignore[union-attr]
            token = rng.choice(tokens)
            follow = grammar.follow(follow.state, token)
            ids += [token, *follow.forced]
        text = merging._backbone.decode(ids)
        assert text == "click[red]" or (text[:2] == "s[" and text.find("]") == len(text) - 1 > 2)


def test_two_slots_in_one_action_are_refused(vocabulary: ActionVocabulary) -> None:
    with pytest.raises(CandidateError, match="twice"):
        vocabulary.grammar([f"a[{FREE_TEXT}] b[{FREE_TEXT}]"])
