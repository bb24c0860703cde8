"""Chat messages for WebShop states: short pages that a small language model can read.

The official text observations repeat the instruction, show full titles and list the buttons without
what they stand for. The compact prompt keeps the same information and the same actions, with three
changes that help any model: the button stands at the END of the line that describes it (a causal
model has then read the product before its name), option values stand one a line, and the line of
`[ buy now ]` says what would be bought.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from agentq.types import Message
from agentq_envs.webshop.actions import click
from agentq_envs.webshop.pages import BACK, PREVIOUS, SUB_PAGES

if TYPE_CHECKING:
    from agentq_envs.webshop.catalogue import Product
    from agentq_envs.webshop.env import WebShopEnv


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """How much of a page a prompt shows."""

    title_words: int = 16  # of a product on the results page and in the line of the purchase
    text_words: int = 60  # of a description or of all bullets
    history: int = 3  # most recent actions shown
    values: int = 12  # of one option, the chosen one always among them


_SHOWN = 300  # characters of an action in the history
_DEFAULT = PromptSettings()


def compact_prompt(env: WebShopEnv, settings: PromptSettings = _DEFAULT) -> tuple[Message, ...]:
    """One user message: the goal, the last actions, and the page with its buttons."""
    recent = env.actions[-settings.history :] if settings.history else ()
    done = " > ".join(map(_one_line, recent)) or "nothing"
    lines = [f"Goal: {env.goal.instruction_text}", f"Done: {done}", *_page_lines(env, settings)]
    return ({"role": "user", "content": "\n".join(lines)},)


def observation_prompt(env: WebShopEnv) -> tuple[Message, ...]:
    """One user message holding the official observation and the admissible actions, for large models."""
    actions = "\n".join(env.server.admissible(env.session))
    observation = env.server.observe(env.session, env.mode)
    return ({"role": "user", "content": f"{observation}\n\nAdmissible actions:\n{actions}"},)


def prompt_with(settings: PromptSettings) -> Callable[[WebShopEnv], tuple[Message, ...]]:
    """A compact prompt with other limits, for ``WebShopEnv(prompt=...)``."""
    return partial(compact_prompt, settings=settings)


def _page_lines(env: WebShopEnv, settings: PromptSettings) -> list[str]:
    session = env.session
    if session.page == "search":
        return ["Page: search"]
    if session.page == "results":
        return _results_lines(env, settings)
    if session.page == "item":
        return _item_lines(env, settings)
    if session.page == "sub":
        return _sub_page_lines(env.server.products[str(session.asin)], str(session.sub_page), settings)
    return ["Page: done"]


def _results_lines(env: WebShopEnv, settings: PromptSettings) -> list[str]:
    session = env.session
    page = env.server.results_page(session)
    lines = [f"Page: results {session.page_number}, {page.total} found"]
    for link, asin in page.links.items():
        product = env.server.products[asin]
        seen = " seen" if asin in session.visited else ""
        lines.append(f"{_words(product.title, settings.title_words)} {product.price_tag}{seen} [ {link} ]")
    lines.append(_buttons([action for action in page.admissible if action[6:-1] not in page.links]))
    return lines


def _item_lines(env: WebShopEnv, settings: PromptSettings) -> list[str]:
    session, product = env.session, env.server.products[str(env.session.asin)]
    lines = ["Page: item"]
    chosen: list[str] = []
    for name, values in product.options.items():
        value = session.options.get(name)
        chosen.append(f"{name}: {'not chosen' if value is None else value}")
        shown = [v for i, v in enumerate(values) if i < settings.values or v == value]
        lines.extend(f"{name}: [ {v} ]" + (" chosen" if v == value else "") for v in shown)
    subs = [name for name in SUB_PAGES if env.server.show_attrs or name != "attributes"]
    lines.append(_buttons([click(name) for name in (BACK, PREVIOUS, *subs)]))
    summary = "; ".join([f"{_words(product.title, settings.title_words)} {product.price_tag}", *chosen])
    lines.append(f"{summary} [ buy now ]")
    return lines


def _sub_page_lines(product: Product, name: str, settings: PromptSettings) -> list[str]:
    text = {
        "Description": product.description,
        "Features": " ; ".join(bullet for bullet in product.bullets if bullet is not None),
        "Attributes": " ; ".join(product.attributes),
    }.get(name, "")
    lines = [f"Page: {name.lower()} of {_words(product.title, settings.title_words)}"]
    if shown := _words(text, settings.text_words):
        lines.append(shown)
    lines.append("[ back to search ] [ < prev ]")
    return lines


def _buttons(actions: list[str]) -> str:
    return " ".join(f"[ {action[6:-1]} ]" for action in actions)  # click[...]


def _one_line(action: str) -> str:
    """An executed text as the history shows it: babble must not fill the prompt or look like its lines."""
    return action if len(action) <= _SHOWN and action.isprintable() else " ".join(action[:_SHOWN].split())


def _words(text: str, limit: int) -> str:
    return " ".join(text.split(None, limit)[:limit])
