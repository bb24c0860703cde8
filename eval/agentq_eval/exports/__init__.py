"""Runs for other programs. Every module of this package is a format: ``FILE`` and ``write``.

A new format is one new file here; the command line finds it by its name.
"""

from __future__ import annotations
