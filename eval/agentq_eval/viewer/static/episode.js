// One step of an episode: what the agent saw, every candidate and what it was worth, what came back.
import { h, number } from "./dom.js";
import * as route from "./route.js";

export function facts(e) {
  const total = (name) => e.steps.reduce((sum, step) => sum + (Number(step.timings[name]) || 0), 0);
  const about = e.metadata, end = about.outcome && about.outcome !== "finished" ? about.outcome.replace("_", " ") : e.success ? "won" : "not won";
  return h("div", { class: "facts num" },
    about.arm && h("span", {}, "arm ", h("b", {}, `${about.arm}@${about.n}`)), h("span", {}, "seed ", h("b", {}, String(e.seed))),
    h("span", {}, "score ", h("b", {}, number(e.score))), h("span", { class: e.success ? "good" : end === "not won" ? "" : "bad" }, end),
    h("span", {}, h("b", {}, String(e.steps.length)), " steps"), h("span", {}, h("b", {}, number(total("decide"), 2)), " s deciding"),
    h("span", {}, h("b", {}, Math.round(total("tokens")).toLocaleString("en")), " tokens"), about.error && h("span", { class: "bad" }, about.error));
}

export function walk(e, at, link, differs = () => false) {
  return h("nav", { class: "steps", "aria-label": "Steps" }, e.steps.map((step, k) =>
    h("a", { href: link(k), "aria-current": k === at ? "step" : null, title: action(step),
      class: `${Number(step.reward) > 0 ? "reward" : ""} ${differs(k) ? "differs" : ""}` }, String(k))));
}

export const action = (step) => { const c = step.candidates[step.index]; return c.action ?? c.text; };

export function stepView(step, note = null) {
  return h("div", { class: "step" },
    h("section", { class: "card" }, h("h2", {}, "What the agent saw"), step.messages.map((m) => message(m, step))),
    h("div", {}, h("section", { class: note ? "card differs-note" : "card" },
      h("h2", {}, `${step.candidates.length} candidate${step.candidates.length === 1 ? "" : "s"}, chosen by ${step.selector || "?"}`, note && h("span", { class: "warn" }, ` \u2014 ${note}`)), candidates(step)),
    h("section", { class: "card" }, h("h2", {}, "What came back"), outcome(step))));
}

function message(m, step) {
  const parts = Array.isArray(m.content) ? m.content : [{ type: "text", text: m.content ?? "" }];
  return h("div", { class: "message" }, h("span", {}, m.role || "?"), parts.map((part) => content(part, step)));
}

function content(part, step) {
  const source = part.image_url?.url ?? part.image ?? part.url;
  if (typeof source !== "string") return h("pre", {}, typeof part.text === "string" ? part.text : JSON.stringify(part, null, 1));
  if (!source.startsWith("data:image/")) return h("p", { class: "soft" }, `image: ${source}`);
  const tap = step.info.tap;  // [x, y] in shares of width and height
  return h("span", { class: "shot" }, h("img", { src: source, alt: "what the agent saw" }),
    Array.isArray(tap) && h("i", { title: `tap at ${tap.map((v) => number(v, 2)).join(", ")}`, css: { left: `${tap[0] * 100}%`, top: `${tap[1] * 100}%` } }));
}

function candidates(step) {
  const finite = step.candidates.flatMap((c) => [c.q, ...c.heads]).filter((v) => typeof v === "number");
  const low = Math.min(0, ...finite), high = Math.max(1e-9, ...finite), place = (v) => ((v - low) / (high - low)) * 100;
  const order = step.candidates.map((c, i) => [c, i]).sort(([a], [b]) => (typeof b.q === "number" ? b.q : -Infinity) - (typeof a.q === "number" ? a.q : -Infinity));
  return h("ol", { class: "candidates" }, order.map(([c, i]) => h("li", { class: i === step.index ? "chosen" : null },
    h("div", { class: "action" }, c.action ?? c.text, " ", i === step.index && h("span", { class: "tag good" }, "chosen")),
    c.action === null && h("div", { class: "bad" }, c.error || "does not parse"),
    h("div", { class: "q" }, h("div", { class: "track", role: "img", "aria-label": `Q ${number(c.q)}` },
      typeof c.q === "number" && h("i", { css: { left: `${place(Math.min(0, c.q))}%`, width: `${Math.abs(place(c.q) - place(0))}%` } }),
      c.heads.filter((v) => typeof v === "number").map((v) => h("b", { css: { left: `${place(v)}%` }, title: `head ${number(v)}` }))),
      h("span", { class: "num" }, `Q ${number(c.q)}`)),
    h("div", { class: "small num" }, h("span", {}, `p ${number(c.probability)}`), c.heads.length > 1 && h("span", {}, `heads ${c.heads.map((v) => number(v)).join(" ")}`),
      c.label !== null && h("span", {}, `label ${number(c.label)}`), c.logprob !== null && h("span", {}, `log p ${number(c.logprob, 2)}`),
      c.count > 1 && h("span", {}, `sampled ${c.count}\u00d7`), c.action !== null && c.text !== c.action && h("span", { class: "mono" }, c.text)))));
}

function outcome(step) {
  const info = Object.entries(step.info).filter(([key]) => key !== "final_messages");
  const text = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value, null, 1) : String(value));
  return h("dl", {}, h("dt", {}, "reward"), h("dd", { class: "num" }, number(step.reward), step.terminated && " (the end)", step.truncated && " (cut by the step limit)"),
    info.map(([key, value]) => [h("dt", {}, key), h("dd", {}, typeof value === "object" && value !== null ? h("pre", {}, text(value)) : text(value))]),
    Object.entries(step.timings).map(([key, value]) => [h("dt", {}, key), h("dd", { class: "num" }, key === "tokens" ? Math.round(value) : `${number(value, 4)} s`)]),
    step.draw !== null && [h("dt", {}, "draw"), h("dd", { class: "num" }, number(step.draw, 6))], step.flags.length > 0 && [h("dt", {}, "flags"), h("dd", {}, step.flags.join(", "))]);
}

export function episodeView(list, id, e, at) {
  const step = e.steps[at], here = list.entries.find((x) => x.id === id), others = here ? list.others(here) : [];
  return [h("h1", { class: "mono" }, e.task), facts(e),
    h("nav", { class: "walk", "aria-label": "Episode" },
      others.length > 0 && h("select", { "aria-label": "Compare with", onchange: (event) => { location.hash = route.compare(list.run, e.task, e.seed, here.arm, event.target.value, at); } },
        h("option", { value: "" }, "compare with \u2026"), others.map((o) => h("option", { value: o.arm }, `${o.arm}: ${number(o.score)}${o.success ? ", won" : ""}`)))),
    walk(e, at, (k) => route.episode(list.run, id, k)), step ? stepView(step) : h("p", { class: "soft" }, "This episode ended before its first step.")];
}

export function compareView(list, ids, pair, names, task, seed, at) {
  const longest = pair[0].steps.length > pair[1].steps.length ? pair[0] : pair[1];
  const differs = (k) => !pair[0].steps[k] || !pair[1].steps[k] || action(pair[0].steps[k]) !== action(pair[1].steps[k]);
  return [h("h1", { class: "mono" }, task), walk(longest, at, (k) => route.compare(list.run, task, seed, ...names, k), differs),
    h("div", { class: "pair" }, pair.map((e, side) => h("section", { "aria-label": names[side] }, h("h1", {}, h("a", { href: route.episode(list.run, ids[side], Math.min(at, Math.max(e.steps.length - 1, 0))) }, names[side])), facts(e),
      e.steps[at] ? stepView(e.steps[at], differs(at) ? "another action" : null) : h("p", { class: "card soft" }, `It was over after ${e.steps.length} steps.`))))];
}
