"""Direct preference optimisation, and the Q-values that a preference model holds.

"Direct Preference Optimization: Your Language Model is Secretly a Reward Model" (arXiv 2305.18290), equation 7,
applied to single steps as in "Enhancing Decision-Making for LLM Agents via Step-Level Q-Value Models" (arXiv
2409.09345). With log pi(a | s) summed over the tokens of the reply a:

    L = -log sigmoid(beta (h(chosen) - h(rejected))),  h(a) = log pi(a | s) - log pi_ref(a | s)
    Q(s, a) = beta h(a) + const(s)

``compat`` names whose variant of a loss is computed where they differ: "official" is the method's own code, "trl"
is TRL 1.16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_shapes

#: sigmoid and hinge are the same everywhere; ipo, label smoothing and sigmoid_norm are not.
DpoLoss = Literal["sigmoid", "hinge", "ipo", "robust", "sigmoid_norm"]
#: sum_logratio: beta h, what DPO trains; mean_logratio: h per token; official_logit_diff: the method's own code.
ReadOut = Literal["sum_logratio", "mean_logratio", "official_logit_diff"]


@dataclass(frozen=True, slots=True)
class PairLogprobs:
    """Summed log-probabilities of B pairs in nats, (B,) each, and the replies' token counts (B,)."""

    policy_chosen: Tensor
    policy_rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor
    chosen_tokens: Tensor | None = None
    rejected_tokens: Tensor | None = None

    @property
    def chosen(self) -> Tensor:
        """h of the chosen replies, (B,)."""
        return self.policy_chosen - self.reference_chosen

    @property
    def rejected(self) -> Tensor:
        """h of the rejected replies, (B,)."""
        return self.policy_rejected - self.reference_rejected

    def per_token(self) -> tuple[Tensor, Tensor]:
        """h of chosen and rejected replies divided by their token counts. Raises ``TrainingError`` without them."""
        if self.chosen_tokens is None or self.rejected_tokens is None:
            raise TrainingError(
                "this loss divides log-ratios by token counts, which are missing. Pass chosen_tokens and "
                "rejected_tokens."
            )
        return self.chosen / self.chosen_tokens, self.rejected / self.rejected_tokens


def dpo_losses(
    pairs: PairLogprobs,
    *,
    beta: float,
    loss: DpoLoss = "sigmoid",
    label_smoothing: float = 0.0,
    compat: Literal["official", "trl"] = "trl",
) -> Tensor:
    """The loss of each pair, (B,). Raises ``TrainingError`` for shapes or settings that cannot be.

    ``label_smoothing`` is the chance that a label is wrong: with "sigmoid" it acts under compat="official" alone
    (conservative DPO; TRL ignores it there), with "robust" it is the unbiased form of arXiv 2403.00409. "ipo"
    (arXiv 2310.12036) divides by token counts under compat="trl".
    """
    check_shapes(tuple(pairs.chosen.shape), rejected=pairs.rejected)
    if not 0 <= label_smoothing < 0.5 or beta <= 0:
        raise TrainingError(
            f"beta={beta}, label_smoothing={label_smoothing}: expected beta > 0 and 0 <= label_smoothing < 0.5."
        )
    margin = pairs.chosen - pairs.rejected
    if loss == "hinge":
        return torch.relu(1 - beta * margin)
    if loss == "ipo":
        if compat == "trl":
            chosen, rejected = pairs.per_token()
            margin = chosen - rejected
        return (margin - 1 / (2 * beta)).square()
    if loss == "sigmoid_norm":
        chosen, rejected = pairs.per_token()
        return -F.logsigmoid(beta * (chosen - rejected))
    right, wrong = -F.logsigmoid(beta * margin), -F.logsigmoid(-beta * margin)
    if loss == "robust":
        return ((1 - label_smoothing) * right - label_smoothing * wrong) / (1 - 2 * label_smoothing)
    smoothing = label_smoothing if compat == "official" else 0.0
    return (1 - smoothing) * right + smoothing * wrong


def implicit_rewards(pairs: PairLogprobs, beta: float) -> tuple[Tensor, Tensor]:
    """beta h of the chosen and of the rejected replies, (B,) each, without gradient."""
    return (beta * pairs.chosen).detach(), (beta * pairs.rejected).detach()


def token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """log softmax(logits)[token]: (..., T, V), (..., T) -> (..., T), in float32 or better."""
    exact = logits.double() if logits.dtype == torch.float64 else logits.float()
    return exact.gather(-1, tokens[..., None])[..., 0] - exact.logsumexp(dim=-1)


def read_q(
    policy_logits: Tensor,
    reference_logits: Tensor,
    tokens: Tensor,
    mask: Tensor,
    *,
    read_out: ReadOut = "sum_logratio",
    beta: float = 1.0,
) -> Tensor:
    """Q of N replies: logits (N, T, V) that predict ``tokens`` (N, T), ``mask`` (N, T) true on the reply -> (N,).

    ``official_logit_diff`` is mean_t log softmax(z_t)[y_t] with z = policy logits - reference logits. It is no
    log-ratio: it differs by logsumexp(z) - logsumexp(policy) + logsumexp(reference), which depends on the
    position, and orders candidates differently in about a third of random cases.
    """
    check_shapes(tuple(tokens.shape), mask=mask)
    if read_out == "official_logit_diff":
        per_token = token_logprobs(policy_logits - reference_logits, tokens)
    else:
        per_token = token_logprobs(policy_logits, tokens) - token_logprobs(reference_logits, tokens)
    total = per_token.masked_fill(~mask.to(torch.bool), 0.0).sum(dim=-1)
    return beta * total if read_out == "sum_logratio" else total / mask.sum(dim=-1).clamp(min=1)
