"""What sessions see and what actions do, on the hand-made shop."""

from __future__ import annotations

from agentq_envs.webshop.pages import SEARCH_MARKER
from agentq_envs.webshop.server import WebShopServer
from agentq_envs.webshop.session import Session


def begin(server: WebShopServer, *actions: str) -> Session:
    session = server.start(0, "s", seed=0)
    for action in actions:
        server.act(session, action)
    return session


def item(server: WebShopServer, asin: str, *actions: str) -> Session:
    session = begin(server, "search[mug teapot]")
    while asin not in server.results(session):
        assert server.act(session, "click[next >]").legal
        assert session.page_number is not None
        assert session.page_number < 9
    for action in (f"click[{asin}]", *actions):
        assert server.act(session, action).legal, action
    return session


def test_the_start_page_offers_search_only(server: WebShopServer) -> None:
    session = begin(server)
    assert server.clickables(session) == ("search",)
    assert server.admissible(session) == (SEARCH_MARKER,)
    assert not server.act(session, "click[search]").legal
    assert server.observe(session).startswith("WebShop [SEP] Instruction: [SEP] Find me ")
    assert server.observe(session, "text_rich").endswith("\n[button] Search [button_]\n")


def test_results_come_ten_a_page_and_never_end(server: WebShopServer) -> None:
    session = begin(server, "search[Mug]")
    assert len(server.results(session)) == 10
    assert server.clickables(session)[:2] == ("back to search", "next >")
    assert "Page 1 (Total results: 13)" in server.observe(session)
    server.act(session, "click[next >]")
    assert len(server.results(session)) == 3
    server.act(session, "click[next >]")
    assert (server.results(session), session.page_number) == ([], 3)
    assert server.clickables(session) == ("back to search", "< prev", "next >")
    server.act(session, "click[< prev]")
    assert session.url.endswith("/search_results/s/mug/2")
    assert server.all_results(session)[10:] == server.results(session)


def test_searching_is_legal_on_every_page(server: WebShopServer) -> None:
    session = item(server, "B000000001", "click[navy blue]", "click[features]", "search[teapot]")
    assert (session.page, session.asin, session.options) == ("results", None, {})
    assert server.results(session) == ["B000000002"]


def test_choosing_replaces_and_survives_sub_pages(server: WebShopServer) -> None:
    session = item(server, "B000000001", "click[NAVY BLUE]", "click[red | white]", "click[12 oz]")
    assert session.options == {"color": "red | white", "size": "12 oz"}
    server.act(session, "click[description]")
    assert server.observe(session).endswith(
        "Back to Search [SEP] < Prev [SEP] Description of the blue ceramic mug."
    )
    assert server.clickables(session) == ("back to search", "< prev")
    server.act(session, "click[< prev]")
    assert (session.page, session.options) == ("item", {"color": "red | white", "size": "12 oz"})
    server.act(session, "click[< prev]")
    assert (session.page, session.options, session.keywords) == ("results", {}, ("mug", "teapot"))


def test_rich_text_marks_chosen_options_last_first(server: WebShopServer) -> None:
    session = item(server, "B000000001", "click[red | white]", "click[12 oz]")
    lines = server.observe(session, "text_rich").split("\n")
    assert lines[:3] == ["You have clicked 12 oz.", "You have clicked red | white.", "Instruction:"]
    assert "  [clicked button] red | white [clicked button_]" in lines
    assert "  [button] navy blue [button_]" in lines


def test_values_that_json_escapes_never_show_as_clicked(server: WebShopServer) -> None:
    session = item(server, "B000000002", "click[café]")
    assert session.options == {"second": "café"}
    assert "clicked" not in server.observe(session, "text_rich")


def test_quoted_keywords_mark_equal_values(server: WebShopServer) -> None:
    session = begin(server, 'search["same" teapot]', "click[b000000002]")
    assert server.observe(session, "text_rich").startswith("You have clicked same.\n")


def test_visited_products_stay_marked_until_the_start_page(server: WebShopServer) -> None:
    session = item(server, "B000000002", "click[< prev]")
    assert "[clicked button] B000000002 [clicked button_]" in server.observe(session, "text_rich")
    server.act(session, "click[back to search]")
    assert (session.visited, session.keywords, session.counts) == (set(), None, {})
    server.act(session, "search[teapot]")
    assert "clicked" not in server.observe(session, "text_rich")


def test_values_named_like_buttons(server: WebShopServer) -> None:
    session = item(server, "B000000002")
    shown = server.clickables(session)
    assert shown[:7] == (
        "back to search",
        "< prev",
        "description",
        "features",
        "reviews",
        "buy now",
        "attributes",
    )
    server.act(session, "click[same]")
    assert session.options == {"second": "same"}  # the later of two options with this value
    server.act(
        session, "click[attributes]"
    )  # the name of a sub page, even when the page shows no such button
    assert (session.page, session.sub_page) == ("sub", "Attributes")
    server.act(session, "click[< prev]")
    assert not server.act(session, "click[search]").legal
    assert server.act(session, "click[buy now]").done


def test_admissible_actions_all_work(server: WebShopServer) -> None:
    session = item(server, "B000000002")
    actions = server.admissible(session)
    assert "click[a[b]]" not in actions
    assert "click[]" not in actions
    assert all(server.act(session.copy(), action).legal for action in actions)


def test_empty_bullets_leave_an_empty_part(server: WebShopServer) -> None:
    session = item(server, "B000000002", "click[features]")
    assert server.observe(session).endswith("< Prev [SEP]  [SEP] only point")
    assert server.observe(session, "text_rich").endswith("< Prev [button_]\n \n only point\n")


def test_query_words_that_name_a_page_mislead_previous(server: WebShopServer) -> None:
    session = begin(server, "search[ceramic search_results]", "click[b000000001]", "click[< prev]")
    assert (session.page, session.page_number) == ("results", 0)
    assert server.results(session) == []


def test_random_and_field_searches(server: WebShopServer) -> None:
    first, again = begin(server, "search[<r>]"), begin(server, "search[<r>]")
    assert server.all_results(first) == server.all_results(again)
    assert sorted(server.all_results(first)) == sorted(server.products)
    server.act(first, "click[next >]")
    assert server.all_results(first) != server.all_results(again)  # paging draws again
    assert len(server.all_results(begin(server, "search[<c> garden]"))) == 14
    assert len(server.all_results(begin(server, "search[<q> coffee mugs]"))) == 14
    assert server.all_results(begin(server, "search[<c>]")) == []
    assert begin(server, "search[<a> lead free]").page == "search"


def test_the_purchase_page(server: WebShopServer) -> None:
    session = item(server, "B000000001", "click[12 oz]", "click[buy now]")
    assert session.page == "done"
    assert session.reward is not None
    text = server.observe(session)
    assert '[SEP] asin [SEP] B000000001 [SEP] options [SEP] {"size": "12 oz"} [SEP]' in text
    assert f"[SEP] Your score (min 0.0, max 1.0) [SEP] {session.reward.total} [SEP]" in text
    assert (server.clickables(session), server.admissible(session)) == ((), ())
    assert session.url == "http://127.0.0.1:3000/done/s/B000000001/{'size': '12 oz'}"


def test_quotes_in_options_are_escaped_on_the_purchase_page(server: WebShopServer) -> None:
    session = Session("s", 0, page="done", asin="B1", options={"b": "<'&é", "a": "x"})
    assert '{"a": "x", "b": "\\u003c\\u0027\\u0026\\u00e9"}' in server.observe(session)
