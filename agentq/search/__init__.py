"""Search over actions: Monte Carlo trees, beams and minimax, many tasks at once.

A search only sees a ``World`` (``worlds.py``): a root state, and what an action makes of a state. It asks for
candidates and values by yielding requests, so that one policy call and one critic call serve all trees.
"""

from __future__ import annotations
