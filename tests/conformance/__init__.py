"""Runs folders of reference vectors: ``python -m tests.conformance DIR [--data ../shared/data]``.

A suite is one file here, named after the folder it checks; adding one touches nothing else.
"""
