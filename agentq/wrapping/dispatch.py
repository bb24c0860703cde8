"""``wrap``: finds the adapter for an agent by the framework that its class comes from.

An adapter here is a file in ``agentq/wrapping/adapters`` named like the framework's top module; elsewhere it
is an entry point in the group ``agentq.wrappers`` with that name. Either has a function
``wrap(agent, guide) -> object | None`` (None: not one of mine). There is no list to extend, and a framework
that the agent does not come from is never imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from agentq.chooser import Chooser
from agentq.critics.base import Critic
from agentq.errors import ConfigError
from agentq.policies.parsing import ActionParser
from agentq.selectors.base import Selector
from agentq.types import Decision, Messages
from agentq.verification import Check
from agentq.wrapping.guide import Guide, OnCriticError
from agentq.wrapping.session import TrajectoryLog

GROUP = "agentq.wrappers"
_ADAPTERS = f"{__name__.rpartition('.')[0]}.adapters"


def wrap(
    agent: Any,
    critic: Critic | str | Path | None = None,
    *,
    n: int = 8,
    selector: Selector | str = "best_of_n",
    checks: Sequence[Check] = (),
    resample: bool = False,
    parser: ActionParser | None = None,
    state: Callable[[Messages], Messages] | None = None,
    sampling: Mapping[str, Any] | None = None,
    parallel: int = 1,
    seed: int = 0,
    on_decision: Callable[[Decision], None] | None = None,
    on_critic_error: OnCriticError = "first",
    log: TrajectoryLog | None = None,
    keep: int = 100,
) -> Any:
    """The same kind of object as ``agent``, which answers with the best of ``n`` candidates.

    ``agent``: a function from messages to text, a client of the package openai, or a model of LangChain, the
    OpenAI Agents SDK or smolagents. The result has ``decisions`` (the last ``keep``), ``session`` and
    ``guide`` besides.
    ``critic``: a critic, or the folder or name of a saved one; None: the selector chooses alone.
    ``checks``: refuse candidates before the critic is asked (``agentq.verification``); where they refuse all, the
    first candidate goes through, flagged.
    ``resample``: before that, ask the agent once more with the checks' reasons behind its messages.
    ``parser``: reads the action out of a reply's text (None: the whole text is the action).
    ``state``: from the messages that the agent sends to what the critic is shown (None: all of them).
    ``sampling``: request parameters that override the agent's, e.g. ``{"temperature": 0.7}``.
    ``parallel``: threads for a synchronous agent that must be asked n times.
    ``seed``: with the messages it fixes every draw of the selector.
    ``on_critic_error``: ``"first"`` lets the first valid candidate through, flagged, counted and warned about
    once; ``"raise"`` raises. Errors of the agent itself are never caught.
    ``log``: finished sessions are written there.

    Raises ``ConfigError`` for an agent of no known kind or an impossible option, ``MissingExtraError`` when
    the adapter needs a package that is not installed.
    """
    chooser = Chooser(
        _selector(selector), _critic(critic), on_invalid="first", checks=tuple(checks), resample=resample
    )
    guide = Guide(
        chooser,
        n=n,
        parser=parser,
        state=state,
        sampling=dict(sampling or {}),
        parallel=parallel,
        seed=seed,
        on_decision=on_decision,
        on_critic_error=on_critic_error,
        log=log,
        keep=keep,
    )
    if isinstance(agent, type):
        raise unsupported(agent, "it is a class: pass an object of it")
    for adapter in _adapters_of(agent):
        if (wrapped := adapter(agent, guide)) is not None:
            return wrapped
    if callable(agent):
        from agentq.wrapping.function import wrap_function

        return wrap_function(agent, guide)
    raise unsupported(agent, "it is none of these")


def supported() -> tuple[str, ...]:
    """Top modules of the frameworks that have an adapter, sorted; nothing is imported."""
    return tuple(sorted({*_own_adapters(), *(point.name for point in entry_points(group=GROUP))}))


def unsupported(agent: Any, reason: str) -> ConfigError:
    """The error for an agent that cannot be wrapped; adapters raise it with advice in ``reason``."""
    kind = agent if isinstance(agent, type) else type(agent)
    return ConfigError(
        f"cannot wrap {kind.__module__}.{kind.__qualname__}: {reason}. Expected a function from chat messages to "
        f"text, or an object of one of: {', '.join(supported())} (openai.OpenAI or AsyncOpenAI, a LangChain chat "
        f"model, an agents.Model, a smolagents.Model). Other packages add adapters by the entry-point group "
        f"{GROUP!r}."
    )


def _adapters_of(agent: Any) -> list[Callable[[Any, Guide], Any]]:
    """Adapters for the frameworks of the agent's class and its bases, the nearest first."""
    roots = dict.fromkeys(cls.__module__.partition(".")[0] for cls in inspect.getmro(type(agent)))
    foreign = {point.name: point for point in entry_points(group=GROUP)}
    found: list[Callable[[Any, Guide], Any]] = []
    for root in roots:
        if root in foreign:
            found.append(foreign[root].load())
        elif root in _own_adapters():
            found.append(importlib.import_module(f"{_ADAPTERS}.{root}").wrap)
    return found


def _own_adapters() -> list[str]:
    spec = importlib.util.find_spec(_ADAPTERS)
    places = spec.submodule_search_locations if spec is not None else None
    return [module.name for module in pkgutil.iter_modules(places) if not module.name.startswith("_")]


def _selector(selector: Selector | str) -> Selector:
    if not isinstance(selector, str):
        return selector
    from agentq.selectors import load_selector

    return load_selector(selector)


def _critic(critic: Critic | str | Path | None) -> Critic | None:
    if not isinstance(critic, str | Path):
        return critic
    from agentq.critics.loading import load_critic

    return load_critic(critic)
