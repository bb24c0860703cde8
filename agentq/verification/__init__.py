"""Refuses candidates before a critic is asked: pure checks, one per file, that give a reason or nothing.

From the verification levels of LightPlanner (parse, parameters, feedback; notes A9): what a rule can refuse for
certain needs no value, and a critic must not be tempted by it.
"""

from agentq.verification.admissible import Admissible
from agentq.verification.base import ALL_REFUSED, Check, Refusal, Situation, Verified, verified
from agentq.verification.grammar import Grammar
from agentq.verification.history import HistoryLine, chat_actions
from agentq.verification.no_effect import NoEffect
from agentq.verification.registry import check_names, check_of, load_check
from agentq.verification.repeated import Repeated
from agentq.verification.resampling import RESAMPLE_FAILED, RESAMPLED, refusal_note, with_note

__all__ = [
    "ALL_REFUSED",
    "RESAMPLED",
    "RESAMPLE_FAILED",
    "Admissible",
    "Check",
    "Grammar",
    "HistoryLine",
    "NoEffect",
    "Refusal",
    "Repeated",
    "Situation",
    "Verified",
    "chat_actions",
    "check_names",
    "check_of",
    "load_check",
    "refusal_note",
    "verified",
    "with_note",
]
