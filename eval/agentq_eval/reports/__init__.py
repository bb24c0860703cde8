"""Reports: what a run showed, as JSON, as one page, as plots; two runs against each other."""

from __future__ import annotations

from agentq_eval.reports.content import build_report
from agentq_eval.reports.evidence import Evidence
from agentq_eval.reports.files import rebuild_report, report_of_run, write_report, write_run_report
from agentq_eval.reports.labels import headline
from agentq_eval.reports.settings import SCHEMA_VERSION, Report, ReportSettings

__all__ = [
    "SCHEMA_VERSION",
    "Evidence",
    "Report",
    "ReportSettings",
    "build_report",
    "headline",
    "rebuild_report",
    "report_of_run",
    "write_report",
    "write_run_report",
]
