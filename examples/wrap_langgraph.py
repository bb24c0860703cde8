"""Guide the chat model of a LangGraph graph: one node asks the model, the other one walks through the shop.

python examples/wrap_langgraph.py
"""

from __future__ import annotations

from typing import Any, TypedDict

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

from agentq.wrapping import wrap
from shopping import SAMPLING, Shop, close, show
from tiny_server import serving


class State(TypedDict):
    """What the nodes hand to each other."""

    page: str
    action: str


def graph_of(model: Any, shop: Shop) -> Any:
    """The agent that exists already, whatever chat model it gets."""

    def think(state: State) -> dict[str, str]:
        return {"action": str(model.invoke(state["page"]).content)}

    def walk(state: State) -> dict[str, str]:
        shop.act(state["action"])
        return {"page": shop.page}

    graph = StateGraph(State)
    graph.add_node("think", think)
    graph.add_node("walk", walk)
    graph.add_edge(START, "think")
    graph.add_edge("think", "walk")
    graph.add_conditional_edges("walk", lambda state: END if shop.done else "think")
    return graph.compile()


def main() -> None:
    """Play one episode and show every decision."""
    with serving() as url:
        model = ChatOpenAI(model="embedded", base_url=url, api_key=lambda: "none")
        guided = wrap(model, critic="embedded-q", sampling=SAMPLING, on_decision=show)
        shop = Shop()
        graph_of(guided, shop).invoke({"page": shop.page, "action": ""}, {"recursion_limit": 50})
        close(shop)


if __name__ == "__main__":
    main()
