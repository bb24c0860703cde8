"""Refuses candidates before a critic is asked: pure checks, one per file, that give a reason or nothing.

From the verification levels of LightPlanner (parse, parameters, feedback; notes A9): what a rule can refuse for
certain needs no value, and a critic must not be tempted by it.
"""

from agentq.verification.admissible import Admissible
from agentq.verification.base import ALL_REFUSED, Check, Situation, Verified, verified
from agentq.verification.grammar import Grammar
from agentq.verification.history import HistoryLine, chat_actions
from agentq.verification.memory import NoEffect, Repeated

__all__ = [
    "ALL_REFUSED",
    "Admissible",
    "Check",
    "Grammar",
    "HistoryLine",
    "NoEffect",
    "Repeated",
    "Situation",
    "Verified",
    "chat_actions",
    "verified",
]
