"""Countdown: reach a target from some numbers, each used once. A small task whose answers can be checked.

An answer is a chain such as "7 + 5 * 3 - 2", worked out from left to right like on a pocket calculator (here
((7 + 5) * 3) - 2 = 34), so that order matters and no brackets are needed. Many problems have several answers.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product

from agentq.errors import DataError

OPERATORS: Mapping[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


@dataclass(frozen=True, slots=True)
class CountdownSettings:
    """Which problems are drawn."""

    numbers: int = 4  # in a problem
    largest: int = 12  # number
    largest_target: int = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """Numbers in ascending order, and the target."""

    numbers: tuple[int, ...]
    target: int

    @property
    def prompt(self) -> str:
        """The problem as text: "2 3 5 7 = 34"."""
        return f"{' '.join(map(str, self.numbers))} = {self.target}"


def draw_problem(rng: random.Random, settings: CountdownSettings) -> tuple[Problem, str]:
    """A problem and one answer to it, drawn evenly among chains whose result is a possible target."""
    for _ in range(10_000):
        numbers = [rng.randint(1, settings.largest) for _ in range(settings.numbers)]
        chain = [str(numbers[0])]
        for number in numbers[1:]:
            chain += [rng.choice(tuple(OPERATORS)), str(number)]
        target = calculate(chain)
        if target is not None and 1 <= target <= settings.largest_target:
            return Problem(tuple(sorted(numbers)), target), " ".join(chain)
    raise DataError(
        f"{settings}: no problem was found in 10,000 draws. Allow larger targets or fewer numbers."
    )


def draw_problems(
    seed: int, count: int, settings: CountdownSettings, without: Sequence[Problem] = ()
) -> list[Problem]:
    """``count`` distinct problems, none of ``without``. Raises DataError when there are not enough."""
    rng, taken = random.Random(f"countdown {seed}"), set(without)
    found: dict[Problem, None] = {}
    for _ in range(1000 * count):
        problem, _ = draw_problem(rng, settings)
        if problem not in taken:
            found[problem] = None
        if len(found) == count:
            return list(found)
    raise DataError(f"{settings}: fewer than {count} distinct problems were found. Ask for fewer.")


def calculate(words: Sequence[str]) -> int | None:
    """The result of a chain of numbers and operators, None when it is none."""
    if len(words) % 2 == 0 or not words[0].isdecimal():
        return None
    result = int(words[0])
    for symbol, number in zip(words[1::2], words[2::2], strict=True):
        if symbol not in OPERATORS or not number.isdecimal():
            return None
        result = OPERATORS[symbol](result, int(number))
    return result


def solves(problem: Problem, answer: str) -> bool:
    """Whether an answer uses every number once and gives the target."""
    words = answer.split()
    if not words or calculate(words) != problem.target:
        return False
    return sorted(map(int, words[::2])) == list(problem.numbers)


def answers(problem: Problem) -> list[str]:
    """All answers, sorted."""
    found: set[str] = set()
    for numbers in set(permutations(problem.numbers)):
        for symbols in product(OPERATORS, repeat=len(numbers) - 1):
            words = [str(numbers[0])]
            for symbol, number in zip(symbols, numbers[1:], strict=True):
                words += [symbol, str(number)]
            if calculate(words) == problem.target:
                found.add(" ".join(words))
    return sorted(found)
