"""Estimates with intervals, tests and sample sizes for evaluations; docs/statistics.md says which to use when.

Pure functions, seeded and reproducible. Fewer than two independent values are undefined (None), never an
interval of no width.
"""

from agentq_eval.statistics.aggregates import (
    interquartile_interval,
    interquartile_mean,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    stratified_interval,
)
from agentq_eval.statistics.bootstrap import TaskBootstrap
from agentq_eval.statistics.estimate import Estimate
from agentq_eval.statistics.means import clustered_error, paired_t, standard_error, t_interval, wilcoxon
from agentq_eval.statistics.multiple import holm
from agentq_eval.statistics.power import (
    detectable_difference,
    minimum_detectable,
    success_deviation,
    tasks_needed,
)
from agentq_eval.statistics.proportions import McNemar, mcnemar, wilson

__all__ = [
    "Estimate",
    "McNemar",
    "TaskBootstrap",
    "clustered_error",
    "detectable_difference",
    "holm",
    "interquartile_interval",
    "interquartile_mean",
    "mcnemar",
    "minimum_detectable",
    "optimality_gap",
    "paired_t",
    "performance_profile",
    "probability_of_improvement",
    "standard_error",
    "stratified_interval",
    "success_deviation",
    "t_interval",
    "tasks_needed",
    "wilcoxon",
    "wilson",
]
