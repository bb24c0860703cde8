"""HotPotQA: answer scores, and pages as the ReAct environment shows and searches them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentq_envs.hotpotqa.pages import Page
from agentq_envs.hotpotqa.scoring import normalise, score_answer
from tests.conformance.runner import compare, each_row


def _em_f1(row: Any, data: Path) -> list[str]:
    prediction, gold = row["prediction"], row["gold"]
    score = score_answer(prediction, gold)
    # The official call on normalised strings gives the same numbers as the one on raw strings.
    again = score_answer(row["norm_prediction"], row["norm_gold"])
    got = {
        "norm_prediction": normalise(prediction),
        "norm_gold": normalise(gold),
        "em": int(score.em),
        "f1": again.f1,
        "f1_direct": score.f1,
        "precision": score.precision,
        "recall": score.recall,
    }
    return compare(got, {name: row[name] for name in got}, absolute=1e-12)


def _page_obs(row: Any, data: Path) -> list[str]:
    page = Page(row["title"], row["page"])
    lookups = [
        {
            "keyword": wanted["keyword"],
            "results": [page.sentences[i] for i in page.matches(wanted["keyword"])],
        }
        for wanted in row["lookups"]
    ]
    return compare(
        {"observation": page.observation, "lookups": lookups}, {k: row[k] for k in ("observation", "lookups")}
    )


CHECKS = {"em_f1": each_row(_em_f1), "page_obs": each_row(_page_obs)}
