"""Actions that are texts of any length and any characters: the Gymnasium space, and the check of one."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from agentq.errors import ActionError

_SAMPLES = (
    "search[red shoes]",
    "click[back to search]",
    "click[< prev]",
    "click[next >]",
    "click[buy now]",
    "",
)


def checked_text(action: object, examples: str) -> str:
    """The action; raises ``ActionError`` for one that is no text, naming ``examples`` of what is expected."""
    if isinstance(action, str):
        return action
    raise ActionError(
        f"the action is {repr(action)[:60]} of type {type(action).__name__}, expected a text such as {examples}. "
        "Pass the text of the chosen candidate."
    )


class AnyText(gymnasium.Space[str]):
    """Every ``str``. Unlike ``gymnasium.spaces.Text`` it has no alphabet to check each character against."""

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=str, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Texts have no array form."""
        return False

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a text."""
        return isinstance(x, str)

    def sample(self, mask: Any | None = None, probability: NDArray[np.float64] | None = None) -> str:
        """One of a few action texts; masks have no meaning here and are ignored."""
        return _SAMPLES[int(self.np_random.integers(len(_SAMPLES)))]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnyText)

    def __repr__(self) -> str:
        return "AnyText()"
