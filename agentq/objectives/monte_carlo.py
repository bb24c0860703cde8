"""Monte-Carlo regression of the value heads on the discounted return of the logged episode.

Digi-Q's ablation (arXiv 2502.15760, "MC return"): every head regresses on R_t = sum_k gamma^k r_(t+k), or
classifies whether R_t > 0 so that the probability of class 1 is the value.

The released regression subtracts returns (B,) from outputs (B, 1), which broadcasts to (B, B): each head then
learns the batch mean. ``compat="digi_q"`` computes that, for comparison with published numbers only.
"""

from __future__ import annotations

from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_rank, check_shapes
from agentq.objectives.pointwise import Metric, head_losses
from agentq.objectives.td import Compat


def monte_carlo_loss(
    prediction: Tensor,
    returns: Tensor,
    *,
    metric: Metric = "regression",
    binarise: bool = True,
    compat: Compat | None = None,
) -> Tensor:
    """Loss of each head, raw outputs (K, B) against returns (B,) -> (K,).

    classification uses the label 1[R > 0], or R itself as a probability when ``binarise`` is false (then
    every return must lie in [0, 1]). Raises ``TrainingError`` on other shapes or returns.
    """
    check_rank(2, "(K heads, B rows)", prediction=prediction)
    check_shapes((prediction.shape[1],), returns=returns)
    if metric == "classification":
        return head_losses(prediction, _labels(returns, binarise), metric)
    if compat == "digi_q":
        everyone = prediction.unsqueeze(2) - returns.detach()  # (K, B, B)
        return everyone.square().mean(dim=(1, 2))
    return head_losses(prediction, returns, metric)


def _labels(returns: Tensor, binarise: bool) -> Tensor:
    if binarise:
        return (returns > 0).to(returns.dtype)
    low, high = float(returns.min()), float(returns.max())
    if low < 0 or high > 1:
        raise TrainingError(
            f"returns reach from {low} to {high}, expected [0, 1] for a classification that is not "
            "binarised; set binarise=True, rescale the rewards, or use metric='regression'."
        )
    return returns
