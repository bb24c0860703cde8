"""Many searches at once: what they ask for is answered by one policy call and one critic call for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from agentq.critics.base import Critic
from agentq.errors import ConfigError
from agentq.policies.base import Policy
from agentq.search.requests import Evaluate, Propose, Request, Search

T = TypeVar("T", bound="Searching")


class Searching(Protocol):
    """A search that can be run: ``TreeSearch``, ``BeamSearch``, ``MinimaxSearch``."""

    def run(self) -> Search:
        """The search as a generator of requests."""
        ...


@dataclass(slots=True)
class ForestStatistics:
    """Calls made so far, and the requests they answered."""

    policy_calls: int = 0
    proposals: int = 0
    critic_calls: int = 0
    valuations: int = 0


@dataclass(slots=True)
class _Running:
    search: Any
    generator: Search
    requests: list[Request]
    answers: dict[int, Any]


class Forest:
    """Runs searches ``trees`` at a time. A policy call has at most ``batch`` states, a critic call all that wait.

    Requests for different numbers of candidates cannot share a call; the largest group is served first, so the
    others gather. The order of service changes no result: a request's answer depends on the request alone.
    ``opponent`` proposes the replies that a minimax search asks for.
    """

    def __init__(
        self,
        policy: Policy,
        critic: Critic | None = None,
        *,
        opponent: Policy | None = None,
        trees: int = 64,
        batch: int = 64,
    ) -> None:
        if trees < 1 or batch < 1:
            raise ConfigError(f"trees={trees}, batch={batch}: expected at least 1 each.")
        self.policy = policy
        self.critic = critic
        self.opponent = opponent
        self.trees = trees
        self.batch = batch
        self.statistics = ForestStatistics()

    def run(self, searches: Iterable[T], on_round: Callable[[], None] | None = None) -> Iterator[T]:
        """Run all searches and yield each when it has ended. Raises ``ConfigError`` where a critic is missing."""
        waiting = iter(searches)
        running: list[_Running] = []
        while True:
            for search in islice(waiting, self.trees - len(running)):
                generator = search.run()
                started = _Running(search, generator, next(generator, []), {})
                if started.requests:
                    running.append(started)
                else:
                    yield search
            if not running:
                return
            self._serve(running)
            if on_round is not None:
                on_round()
            going: list[_Running] = []
            for current in running:
                if len(current.answers) == len(current.requests) and not _resumed(current):
                    yield current.search
                else:
                    going.append(current)
            running = going

    def _serve(self, running: Sequence[_Running]) -> None:
        """Answer the requests of one kind: values when any are waited for, else the largest group of proposals."""
        unanswered = [
            (current, place, request)
            for current in running
            for place, request in enumerate(current.requests)
            if place not in current.answers
        ]
        valuations = [(c, p, r) for c, p, r in unanswered if isinstance(r, Evaluate)]
        if valuations:
            found: Sequence[Any] = self._values([request for _, _, request in valuations])
            served = valuations
        else:
            groups: dict[tuple[int, bool], list[tuple[_Running, int, Propose]]] = {}
            for current, place, request in unanswered:
                if isinstance(request, Propose):
                    groups.setdefault((request.n, request.opponent), []).append((current, place, request))
            group = max(groups.values(), key=len)
            # Searches that wait for little go first: they ask anew, and calls stay full.
            proposals = sorted(group, key=lambda item: len(item[0].requests) - len(item[0].answers))[
                : self.batch
            ]
            found = self._candidates([request for _, _, request in proposals])
            served = proposals
        for (current, place, _), answer in zip(served, found, strict=True):
            current.answers[place] = answer

    def _candidates(self, requests: Sequence[Propose]) -> Sequence[Any]:
        policy = self.opponent if requests[0].opponent else self.policy
        if policy is None:
            raise ConfigError(
                "this search asks for the other side's replies. Pass Forest(opponent=...), a policy."
            )
        self.statistics.policy_calls += 1
        self.statistics.proposals += len(requests)
        return policy.propose(
            [request.state.messages for request in requests],
            requests[0].n,
            [request.seed for request in requests],
            [request.state.admissible for request in requests],
        )

    def _values(self, requests: Sequence[Evaluate]) -> Sequence[Any]:
        if self.critic is None:
            raise ConfigError(
                "this search asks for values of actions, but there is no critic. Pass one (a Q-critic, a preference "
                "critic, agentq.critics.judge.JudgeCritic), or use values='reward' and guide='uct'."
            )
        self.statistics.critic_calls += 1
        self.statistics.valuations += len(requests)
        return self.critic.score([(request.state.messages, request.candidates) for request in requests])


def _resumed(current: _Running) -> bool:
    """Hand the answers over; whether the search goes on."""
    answers = [current.answers[place] for place in range(len(current.requests))]
    try:
        current.requests = current.generator.send(answers)
    except StopIteration:
        return False
    current.answers = {}
    return True
