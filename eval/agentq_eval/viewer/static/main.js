// Pages by address, keys, and news of a run that is still going.
import { h, show, get } from "./dom.js";
import * as route from "./route.js";
import { List } from "./list.js";
import { episodeView, compareView } from "./episode.js";

const top = document.getElementById("top"), main = document.getElementById("main"), help = document.getElementById("help");
const lists = new Map(), cache = new Map();
let runs = [], title = "", current = null, steps = 0, drawn = 0;

async function load(run) {
  const list = lists.get(run) || lists.set(run, new List(run)).get(run);
  const news = await get("/api/episodes", { run, since: list.entries.length });
  list.about = news;
  list.add(news.rows);
  return list;
}

async function read(run, id) {
  const key = `${run}\n${id}`;
  if (!cache.has(key)) { if (cache.size > 50) cache.clear(); cache.set(key, await get("/api/episode", { run, id })); }
  return cache.get(key);
}

function header(list, links = []) {
  const about = list?.about;
  const going = about?.planned && about.episodes < about.planned;
  document.title = about ? `${about.title} \u00b7 AgentQ` : "AgentQ traces";
  show(top, h("h1", {}, h("a", { href: list ? route.list(list.run) : "#/" }, about ? about.title : title)), runs.length > 1 && h("a", { href: "#/" }, "all runs"), links,
    h("span", { class: "grow" }), going && h("span", { class: "num soft" }, h("i", { class: "dot" }), `${about.episodes.toLocaleString("en")} of ${about.planned.toLocaleString("en")} played`),
    about?.report && h("a", { href: `/report.html?${new URLSearchParams({ run: list.run })}` }, "report"), h("button", { onclick: () => help.showModal(), title: "Keys" }, "?"));
}

function overview() {
  header(null);
  show(main, h("ul", { class: "runs" }, runs.map((r) => h("li", { class: "card" }, h("a", { href: route.list(r.name) }, h("b", {}, r.title)), h("span", { class: "soft" }, ` ${r.name}`),
    h("div", { class: "soft num" }, `${r.episodes.toLocaleString("en")}${r.planned ? ` of ${r.planned.toLocaleString("en")}` : ""} episodes${r.arms.length ? `, ${r.arms.length} arms` : ""}`)))));
}

async function draw() {
  const turn = ++drawn, where = route.parse(location.hash);
  current = where;
  try {
    if (where.page === "list" && !where.inRun && runs.length > 1) return overview();
    const list = await load(where.run);
    if (where.page === "list") {
      header(list);
      show(main, (list.about.notices || []).map((text) => h("p", { class: "notice" }, text)), list.element);
      return list.update();
    }
    if (where.page === "episode") {
      const e = await read(where.run, where.id);
      if (turn !== drawn) return;
      steps = e.steps.length;
      header(list);
      show(main, episodeView(list, where.id, e, where.step));
    } else {
      const names = [where.query.get("a"), where.query.get("b")], found = names.map((arm) => list.find(where.task, where.seed, arm));
      const missing = names.find((_, side) => !found[side]);
      if (missing !== undefined) throw new Error(`the arm ${missing} has not played ${where.task} with seed ${where.seed}`);
      const pair = await Promise.all(found.map((e) => read(where.run, e.id)));
      if (turn !== drawn) return;
      steps = Math.max(...pair.map((e) => e.steps.length));
      header(list);
      show(main, compareView(list, found.map((e) => e.id), pair, names, where.task, where.seed, where.step));
    }
  } catch (error) {
    header(lists.get(where.run));
    show(main, h("p", { class: "notice", role: "alert" }, `${error.message}. `, h("a", { href: route.list(where.run) }, "Back to the list")));
  }
}

function go(step) {
  if (step < 0 || step >= steps) return;
  const where = current;
  const next = where.page === "episode" ? route.episode(where.run, where.id, step) : route.compare(where.run, where.task, where.seed, where.query.get("a"), where.query.get("b"), step);
  history.replaceState(null, "", next);
  draw();
}

function keys(event) {
  const typing = event.target.matches("input, select, textarea"), list = lists.get(current?.run || "");
  if (event.key === "Escape") { if (help.open) return; if (typing) return event.target.blur(); if (current.page !== "list") location.hash = route.list(current.run); return; }
  if (typing || event.metaKey || event.ctrlKey || event.altKey || help.open) return;
  const on = current?.page === "list";
  const actions = {
    j: () => (on ? list?.move(1) : go(current.step + 1)), k: () => (on ? list?.move(-1) : go(current.step - 1)),
    ArrowDown: on ? () => list?.move(1) : null, ArrowUp: on ? () => list?.move(-1) : null,
    ArrowRight: on ? null : () => go(current.step + 1), ArrowLeft: on ? null : () => go(current.step - 1),
    Enter: on && !event.target.matches("a, button") ? () => list?.open() : null,
    n: on ? null : () => neighbour(1), p: on ? null : () => neighbour(-1),
    "/": () => { if (!on) location.hash = route.list(current.run); setTimeout(() => list?.search.focus(), 50); }, "?": () => help.showModal(),
  };
  if (actions[event.key]) { event.preventDefault(); actions[event.key](); }
}

function neighbour(by) {
  const next = current.page === "episode" && lists.get(current.run)?.neighbour(current.id, by);
  if (next) location.hash = route.episode(current.run, next.id);
}

async function news() {
  try {
    if (current && current.page === "list" && (current.inRun || runs.length < 2)) {
      const list = lists.get(current.run), before = list?.entries.length;
      await load(current.run);
      if (list && list.entries.length !== before) header(list);
    } else if (current?.page === "list") { runs = (await get("/api/source")).runs; overview(); }
  } catch { /* the server is gone; the next turn may find it again */ }
  setTimeout(news, document.hidden ? 10000 : 2000);
}

const KEYS = [["j k", "next, previous step or episode"], ["\u2190 \u2192", "step"], ["n p", "next, previous episode of the list"], ["Enter", "open"], ["/", "search"], ["Esc", "back"], ["?", "this"]];
show(help, h("h2", { id: "help-title" }, "Keys"), h("dl", {}, KEYS.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])), h("form", { method: "dialog" }, h("button", {}, "Close")));
({ runs, title } = await get("/api/source"));
addEventListener("hashchange", draw);
addEventListener("keydown", keys);
await draw();
setTimeout(news, 2000);
