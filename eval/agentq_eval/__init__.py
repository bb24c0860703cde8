"""Evaluation: panels, rollouts, statistics, reports."""
