"""GRPO: clipped policy gradient on rewards relative to the group of answers to one question.

"DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models" (arXiv 2402.03300), equation
3 without its KL term:

    L = -sum mask min(r_t A, clip(r_t, 1 - eps, 1 + eps) A) / sum mask,   r_t = pi(y_t | s_t) / pi_old(y_t | s_t)

A is the reward minus the group's mean over its standard deviation (``rover.standardised_rewards``). The
mean is over all tokens of the batch, as in ROVER's loss, so that the two differ in nothing else.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_shapes


def grpo_loss(
    log_prob: Tensor, old_log_prob: Tensor, mask: Tensor, advantage: Tensor, *, clip: float = 0.2
) -> Tensor:
    """The loss of a padded batch: (B, T) log-probabilities and mask, ``advantage`` (B,) -> scalar."""
    check_shapes(tuple(log_prob.shape), old_log_prob=old_log_prob, mask=mask)
    check_shapes((log_prob.shape[0],), advantage=advantage)
    if not 0.0 < clip < 1.0:
        raise TrainingError(f"clip is {clip}, expected a number between 0 and 1 (0.2 is usual).")
    weight = mask.to(log_prob.dtype)
    gain = advantage.to(log_prob.dtype).unsqueeze(1)
    ratio = (log_prob - old_log_prob.detach()).exp()
    kept = torch.minimum(ratio * gain, ratio.clamp(1.0 - clip, 1.0 + clip) * gain)
    return -(kept * weight).sum() / weight.sum()
