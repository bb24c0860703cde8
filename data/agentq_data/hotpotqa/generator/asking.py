"""Questions over two pages of a region, answerable by construction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agentq_data.dice import Dice
from agentq_data.hotpotqa.generator.articles import Article
from agentq_data.hotpotqa.generator.prose import ASKED, COMPARED, DESCRIPTIONS, SHARED
from agentq_data.hotpotqa.generator.world import Entity, Region

_SHOWN = 5  # sentences of a page that a search shows; later ones need a lookup
_Form: TypeAlias = tuple[str, ...]
_Pair: TypeAlias = tuple[Entity, Entity]
_Choice: TypeAlias = tuple[_Form, _Pair]
_LEVELS = ("easy", "medium", "hard")


@dataclass(frozen=True, slots=True)
class MadeQuestion:
    """A question before it has an id."""

    question: str
    answer: str
    type: str
    level: str
    supporting_facts: tuple[tuple[str, int], ...]


class QuestionWriter:
    """Draws distinct questions about one region."""

    def __init__(self, region: Region, articles: Mapping[str, Article], dice: Dice) -> None:
        self.region, self.articles, self.dice = region, articles, dice
        self.by_title = {e.title: e for entities in region.entities.values() for e in entities}

    def bridges(self, count: int) -> list[MadeQuestion]:
        """Questions about a page that only another page names, all forms about equally often."""
        forms: dict[tuple[str, str, str], list[_Pair]] = {}
        for kind, ref in DESCRIPTIONS:
            for entity in self.region.entities[kind]:
                target = self.by_title[entity.refs[ref]]
                for about, fact in ASKED:
                    if about == target.kind and target.facts[fact].lower() not in entity.name.lower():
                        forms.setdefault((kind, ref, fact), []).append((entity, target))
        return self._in_turn(
            [[(form, pair) for pair in pairs] for form, pairs in forms.items()], count, self._bridge
        )

    def comparisons(self, count: int) -> list[MadeQuestion]:
        """Questions that compare two pages of a kind, half of them yes/no."""
        ordered: list[list[_Choice]] = [[(form, pair) for pair in self._pairs(form[0])] for form in COMPARED]
        shared: list[list[_Choice]] = []
        for form in SHARED:
            pairs = self._pairs(form[0])
            same = [pair for pair in pairs if _same(pair, form[1])]
            differ = [pair for pair in pairs if not _same(pair, form[1])]
            shared += [[(form, pair) for pair in same], [(form, pair) for pair in differ]]
        half = count // 2
        return self._in_turn(ordered, count - half, self._order) + self._in_turn(shared, half, self._yes_no)

    def _in_turn(
        self,
        groups: Sequence[Sequence[_Choice]],
        count: int,
        write: Callable[[_Form, _Pair], MadeQuestion | None],
    ) -> list[MadeQuestion]:
        """``count`` distinct questions, one of each group in every round; fewer if there are no more."""
        queues = [self.dice.shuffled(group) for group in self.dice.shuffled(list(groups))]
        made: dict[str, MadeQuestion] = {}
        while any(queues):
            for queue in queues:
                question = write(*queue.pop()) if queue else None
                if question is not None:
                    made.setdefault(question.question, question)
                if len(made) == count:
                    return list(made.values())
        return list(made.values())

    def _pairs(self, kind: str) -> list[_Pair]:
        """Pairs of neighbours in a random order, in both directions: enough, and few."""
        entities = self.dice.shuffled(self.region.entities[kind])
        return [
            (a, b)
            for i, a in enumerate(entities)
            for b in entities[max(0, i - 6) : i + 7]
            if a is not b and a.name != b.name
        ]

    def _bridge(self, form: _Form, pair: _Pair) -> MadeQuestion:
        (kind, ref, fact), (entity, target) = form, pair
        described = self._wording(DESCRIPTIONS[kind, ref]).format(name=entity.name)
        text = self._wording(ASKED[target.kind, fact]).format(x=described)
        return self._made(text, target.facts[fact], "bridge", ((entity, ref), (target, fact)))

    def _order(self, form: _Form, pair: _Pair) -> MadeQuestion | None:
        (kind, fact, which), (a, b) = form, pair
        first, second = (int(e.facts[fact].replace(",", "")) for e in pair)
        if first == second:
            return None
        text = self._wording(COMPARED[kind, fact, which]).format(a=a.name, b=b.name)
        answer = a if (first < second) == (which == "first") else b
        return self._made(text, answer.name, "comparison", ((a, fact), (b, fact)))

    def _yes_no(self, form: _Form, pair: _Pair) -> MadeQuestion:
        (kind, fact), (a, b) = form, pair
        text = self._wording(SHARED[kind, fact]).format(a=a.name, b=b.name)
        answer = "yes" if _same(pair, fact) else "no"
        return self._made(text, answer, "comparison", ((a, fact), (b, fact)))

    def _made(self, text: str, answer: str, kind: str, facts: Sequence[tuple[Entity, str]]) -> MadeQuestion:
        places = tuple((e.title, self.articles[e.title].places[fact]) for e, fact in facts)
        lookups = sum(index >= _SHOWN for _, index in places)
        return MadeQuestion(text, answer, kind, _LEVELS[lookups], places)

    def _wording(self, alternatives: str) -> str:
        return self.dice.pick(alternatives.split("|"))


def _same(pair: _Pair, fact: str) -> bool:
    return pair[0].facts[fact] == pair[1].facts[fact]
