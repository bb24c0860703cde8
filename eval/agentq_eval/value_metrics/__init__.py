"""Whether a critic's values can be believed, what its choices lose and what they cost; docs/statistics.md.

Pure functions over arrays, seeded and reproducible; tasks are what intervals resample. ``samples`` (not
imported here) reads the arrays from a run.
"""

from agentq_eval.value_metrics.calibration import Bin, Calibration, reliability
from agentq_eval.value_metrics.cost import CostOfGain, Price, cost_of_gain, price_per_point
from agentq_eval.value_metrics.ranking import Ranking, kendall, ranking, spearman
from agentq_eval.value_metrics.rates import ProposalRates, proposal_rates, ratio_of_counts
from agentq_eval.value_metrics.regret import Regret, selective_regret

__all__ = [
    "Bin",
    "Calibration",
    "CostOfGain",
    "Price",
    "ProposalRates",
    "Ranking",
    "Regret",
    "cost_of_gain",
    "kendall",
    "price_per_point",
    "proposal_rates",
    "ranking",
    "ratio_of_counts",
    "reliability",
    "selective_regret",
    "spearman",
]
