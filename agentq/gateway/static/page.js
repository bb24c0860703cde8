// Live decisions. What agents and environments said only ever becomes text nodes.
const KEPT = 200, EVERY = 1000;
const place = document.querySelector("#decisions"), notice = document.querySelector("#notice");
const form = document.querySelector("#key"), pause = document.querySelector("#pause");
let since = 0, paused = false, timer = 0;

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== false) element.setAttribute(name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const number = (value) => (value === null ? "\u2013" : value.toFixed(3).replace("-", "\u2212"));
const milliseconds = (seconds) => `${(1000 * seconds).toFixed(seconds < 0.1 ? 1 : 0)} ms`;

// Bars share one scale within a decision: the worst value is a sliver, the best is full.
function share(value, values) {
  const low = Math.min(...values), high = Math.max(...values);
  return value === null ? 0 : high === low ? 1 : 0.06 + (0.94 * (value - low)) / (high - low);
}

function candidateRow(candidate, index, decision) {
  const values = decision.candidates.map((c) => c.q).filter((q) => q !== null);
  const chosen = index === decision.choice;
  const bar = h("i", {});
  bar.style.width = `${100 * share(candidate.q, values)}%`;
  const facts = [
    candidate.count > 1 ? `\u00d7${candidate.count}` : null,
    `p ${number(candidate.probability)}`,
    candidate.logprob === null ? null : `log p ${number(candidate.logprob)}`,
    candidate.error,
  ].filter(Boolean);
  return h("li", { class: chosen ? "chosen" : "" },
    h("div", { class: "action" }, candidate.action ?? candidate.text ?? "no action in it", chosen ? h("span", { class: "tag" }, "chosen") : null),
    h("div", { class: "q" },
      h("div", { class: "track", role: "img", "aria-label": `Q ${number(candidate.q)}` }, bar),
      h("span", { class: "num" }, `Q ${number(candidate.q)}`)),
    h("div", { class: "soft small" }, facts.join(" \u00b7 ")));
}

function card(decision) {
  const when = new Date(1000 * decision.time).toLocaleTimeString();
  const latency = decision.latency ?? {};
  const times = Object.entries(latency).map(([name, seconds]) => `${name} ${milliseconds(seconds)}`);
  const heading = h("h2", {}, `#${decision.number}`,
    h("span", { class: decision.guided ? "tag good" : "tag warn" }, decision.guided ? "guided" : `unguided: ${decision.reason}`));
  const facts = [when, decision.session ? `session ${decision.session}, step ${decision.step ?? "\u2013"}` : null, decision.model, decision.selector, ...times];
  const flags = (decision.flags ?? []).filter((flag) => flag !== "unguided" && flag !== decision.reason);
  return h("article", { tabindex: "0", "aria-label": `Decision ${decision.number}` }, heading,
    h("p", { class: "soft small" }, facts.filter(Boolean).join(" \u00b7 ")),
    flags.length ? h("p", { class: "warn small" }, `flags: ${flags.join(", ")}`) : null,
    h("ol", {}, decision.candidates.map((candidate, index) => candidateRow(candidate, index, decision))),
    decision.messages ? h("details", {}, h("summary", {}, "Messages"),
      decision.messages.map((message) => h("div", { class: "message" }, h("b", {}, message.role), h("pre", {}, message.content)))) : null);
}

function show(content) {
  document.querySelector("#about").textContent =
    `critic ${content.critic} \u00b7 ${content.selector} of ${content.n} \u00b7 ${content.total} since the start`;
  for (const decision of content.decisions) {
    place.prepend(card(decision));
    since = decision.number;
  }
  if (content.total < since) since = 0; // the gateway was started again
  while (place.childElementCount > KEPT) place.lastElementChild.remove();
  notice.textContent = place.childElementCount ? "" : "No decision yet. Point an agent's base_url at this gateway.";
}

async function look() {
  clearTimeout(timer);
  const key = sessionStorage.getItem("agentq-key");
  try {
    const response = await fetch(`/agentq/decisions?since=${since}`, { headers: key ? { Authorization: `Bearer ${key}` } : {} });
    form.hidden = response.status !== 401;
    if (response.ok) show(await response.json());
    else notice.textContent = response.status === 401 ? (key ? "That key is not the gateway's." : "") : (await response.json()).error.message;
  } catch (error) {
    notice.textContent = `The gateway does not answer (${error.message}).`;
  }
  if (!paused) timer = setTimeout(look, EVERY);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("agentq-key", document.querySelector("#word").value);
  look();
});
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause";
  if (paused) clearTimeout(timer);
  else look();
});
addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "p") pause.click();
  const step = { j: "nextElementSibling", k: "previousElementSibling" }[event.key];
  if (!step) return;
  const here = document.activeElement.closest?.("article");
  (here ? here[step] : place.firstElementChild)?.focus();
});
look();
