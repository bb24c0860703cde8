"""Did an action change the screen? The label of Digi-Q's representation fine-tuning.

"Digi-Q" (arXiv 2502.15760), section on representation fine-tuning: "Yes" when the mean squared difference
of the screenshots before and after, both down-scaled to a quarter of width and height, exceeds 30.
"""

from __future__ import annotations

from torch import Tensor

from agentq.objectives.checks import check_shapes

THRESHOLD = 30.0  # squared grey levels, 0..255


def screen_difference(before: Tensor, after: Tensor) -> float:
    """Mean squared difference over all pixels and channels of two images (H, W, C), levels 0..255."""
    check_shapes(tuple(before.shape), after=after)
    return float((before.double() - after.double()).square().mean())


def screen_changed(before: Tensor, after: Tensor, threshold: float = THRESHOLD) -> bool:
    """Whether the difference is strictly above ``threshold``."""
    return screen_difference(before, after) > threshold
