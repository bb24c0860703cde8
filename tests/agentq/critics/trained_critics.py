"""Small critics trained in place on random labels, and states to score: shared by the tests of export and server."""

from __future__ import annotations

from typing import Any

import numpy as np

from agentq.backbones import BackboneConfig, LoraSettings, load_backbone
from agentq.critics.heads import HeadSettings
from agentq.critics.q_head import QCritic, QCriticConfig
from agentq.training.head_loss import ObjectiveSettings
from agentq.training.joint import JointExample, JointSettings, fit_joint
from agentq.training.settings import TrainingSettings
from agentq.types import Candidate

LINEAR = HeadSettings(heads=3, hidden=(), input_norm=False)
_TRAINING = TrainingSettings(steps=12, learning_rate=1e-2, log_every=4, tracker="none", schedule="constant")


def page(number: int, lines: int = 6) -> list[dict[str, str]]:
    shown = "\n".join(f"[b{number}{line}] mug number {line}, {3 * line + number} $" for line in range(lines))
    return [{"role": "user", "content": f"Goal: a red mug\n{shown}"}]


def states(count: int = 3, lines: int = 6) -> list[tuple[list[dict[str, str]], list[Candidate]]]:
    """Pages with buttons, one text that did not parse and one action twice, each with a log-probability."""
    found: list[tuple[list[dict[str, str]], list[Candidate]]] = []
    for number in range(count):
        actions = [f"click[b{number}{line}]" for line in range(lines)]
        candidates = [
            Candidate(action, action, token_ids=(1,), token_logprobs=(-0.5 * i,))
            for i, action in enumerate([*actions, actions[0], "search[a mug that is redder]"])
        ]
        found.append((page(number, lines), [*candidates, Candidate("hm", None, "no bracket")]))
    return found


def train_critic(name: str, *, lora: bool = True, heads: HeadSettings = LINEAR, **config: Any) -> QCritic:
    """Heads, and adapters that are far from nothing, on random labels of a few pages."""
    settings = LoraSettings(r=4, alpha=32) if lora else None
    backbone = load_backbone(BackboneConfig(name=name, device="cpu", lora=settings))
    rng = np.random.default_rng(0)
    reads_proposal = config.get("proposal", "none") != "none"
    examples: list[JointExample] = []
    for messages, candidates in states(6):
        actions = list(dict.fromkeys(c.action for c in candidates if c.action))
        labels = tuple(rng.uniform(0, 1, len(actions)))
        examples.append(
            JointExample(
                prompt=tuple(backbone.prompt_ids(messages)),
                candidates=tuple(tuple(backbone.action_ids(action)) for action in actions),
                logged=0,
                returns=labels[0],
                labels=labels,
                proposals=tuple((-float(i), 1.0) for i in range(len(actions))) if reads_proposal else (),
            )
        )
    joint = JointSettings(backbone_rate=1.0) if lora else JointSettings(full=True, backbone_rate=0.0)
    objective = ObjectiveSettings(label_weight=1.0)
    return fit_joint(backbone, examples, QCriticConfig(**config), heads, objective, _TRAINING, joint).critic
