// The episodes of a run: filtered, sorted, and drawn only where one looks.
import { h, number } from "./dom.js";
import * as route from "./route.js";

const ROW = 34;
const FIELDS = ["id", "task", "seed", "arm", "outcome", "steps", "score", "success", "truncated", "attempt", "error"];
export const entry = (row) => Object.fromEntries(FIELDS.map((name, i) => [name, row[i]]));
const COLUMNS = [["task", "Task"], ["seed", "Seed", "wide"], ["arm", "Arm"], ["score", "Score"], ["outcome", "End", "wide"], ["steps", "Steps", "wide"]];
const ENDS = { all: "any end", won: "won", lost: "not won", finished: "finished", truncated: "step limit", failed: "failed", timed_out: "timed out", infrastructure: "infrastructure" };

export function outcome(e) {
  if (e.outcome !== "finished") return h("span", { class: "bad" }, e.outcome.replace("_", " "));
  if (e.success) return h("span", { class: "good" }, "won");
  return h("span", { class: "soft" }, e.truncated ? "step limit" : "ended");
}

export class List {
  constructor(run) {
    this.run = run;
    this.filter = { text: "", arm: "", end: "all", disagree: false };
    this.sort = { field: "", down: false };
    this.entries = [];
    this.shown = [];
    this.at = 0;
    this.count = h("span", { class: "soft num", role: "status" });
    this.space = h("div");
    this.scroll = h("div", { class: "scroll", onscroll: () => this.draw(), role: "rowgroup" }, this.space);
    this.search = h("input", { type: "search", placeholder: "Search tasks", "aria-label": "Search tasks", oninput: (e) => this.set({ text: e.target.value }) });
    this.arms = h("select", { "aria-label": "Arm", onchange: (e) => this.set({ arm: e.target.value }) }, h("option", { value: "" }, "every arm"));
    const ends = h("select", { "aria-label": "How it ended", onchange: (e) => this.set({ end: e.target.value }) },
      Object.entries(ENDS).map(([value, text]) => h("option", { value }, text)));
    const disagree = h("input", { type: "checkbox", onchange: (e) => this.set({ disagree: e.target.checked }) });
    this.heads = COLUMNS.map(([field, text, css]) => h("button", { class: css, "aria-sort": "none", onclick: () => this.by(field) }, text));
    this.element = h("section", {},
      h("div", { class: "filters", role: "search" }, this.search, this.arms, ends, h("label", {}, disagree, "arms disagree"), this.count),
      h("div", { class: "table", role: "table", "aria-label": "Episodes" }, h("div", { class: "head", role: "row" }, this.heads), this.scroll));
    addEventListener("resize", () => this.draw());
  }

  add(rows) {
    if (!rows.length) return;
    this.entries.push(...rows.map(entry));
    const known = new Set([...this.arms.options].map((o) => o.value));
    for (const arm of new Set(this.entries.map((e) => e.arm))) if (arm && !known.has(arm)) this.arms.append(h("option", { value: arm }, arm));
    this.update();
  }

  set(change) { Object.assign(this.filter, change); this.at = 0; this.scroll.scrollTop = 0; this.update(); }

  by(field) {
    this.sort = { field, down: this.sort.field === field ? !this.sort.down : field === "score" };
    COLUMNS.forEach(([name], i) => this.heads[i].setAttribute("aria-sort", name !== field ? "none" : this.sort.down ? "descending" : "ascending"));
    this.update();
  }

  update() {
    const { text, arm, end, disagree } = this.filter, words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const odd = disagree ? disagreeing(this.entries) : null;
    const ends = { all: () => true, won: (e) => e.success, lost: (e) => !e.success, truncated: (e) => e.truncated };
    const ended = ends[end] || ((e) => e.outcome === end);
    this.shown = this.entries.filter((e) => (!arm || e.arm === arm) && ended(e) && (!odd || odd.has(`${e.task}\n${e.seed}`)) &&
      words.every((word) => e.task.toLowerCase().includes(word)));
    const { field, down } = this.sort;
    if (field) this.shown.sort((a, b) => (down ? -1 : 1) * (a[field] < b[field] ? -1 : a[field] > b[field] ? 1 : 0));
    const format = (n) => n.toLocaleString("en");
    this.count.textContent = `${format(this.shown.length)} of ${format(this.entries.length)} episodes`;
    this.draw();
  }

  draw() {
    const { scrollTop, clientHeight } = this.scroll;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - 8), last = Math.min(this.shown.length, Math.ceil((scrollTop + (clientHeight || 700)) / ROW) + 8);
    this.space.style.height = `${this.shown.length * ROW}px`;
    this.space.replaceChildren(...this.shown.slice(first, last).map((e, i) => this.row(e, first + i)));
  }

  row(e, i) {
    const score = typeof e.score === "number" ? e.score : 0;
    return h("a", { class: i === this.at ? "row on" : "row", role: "row", href: route.episode(this.run, e.id), css: { top: `${i * ROW}px` } },
      h("span", { class: "mono", title: e.task }, e.task), h("span", { class: "num soft wide" }, String(e.seed)), h("span", {}, e.arm || "\u2013"),
      h("span", { class: "meter num" }, h("i", { css: { "background-size": `${Math.max(0, Math.min(1, score)) * 100}% 100%` } }), number(e.score)),
      h("span", { class: "wide", title: e.error }, outcome(e)), h("span", { class: "num soft wide" }, String(e.steps)));
  }

  move(by) {
    this.at = Math.max(0, Math.min(this.shown.length - 1, this.at + by));
    const top = this.at * ROW;
    if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
    if (top + ROW > this.scroll.scrollTop + this.scroll.clientHeight) this.scroll.scrollTop = top + ROW - this.scroll.clientHeight;
    this.draw();
  }

  open() { if (this.shown[this.at]) location.hash = route.episode(this.run, this.shown[this.at].id); }

  others(e) { return this.entries.filter((o) => o.task === e.task && o.seed === e.seed && o.arm && o.arm !== e.arm && o.outcome !== "infrastructure"); }

  find(task, seed, arm) { return this.entries.find((e) => e.task === task && String(e.seed) === String(seed) && e.arm === arm && e.outcome !== "infrastructure"); }

  neighbour(id, by) { const i = this.shown.findIndex((e) => e.id === id); return i < 0 ? null : this.shown[i + by] || null; }
}

function disagreeing(entries) {
  const first = new Map(), odd = new Set();
  for (const e of entries) {
    if (e.outcome === "infrastructure") continue;
    const key = `${e.task}\n${e.seed}`, result = `${e.score} ${e.success}`;
    if (!first.has(key)) first.set(key, result);
    else if (first.get(key) !== result) odd.add(key);
  }
  return odd;
}
