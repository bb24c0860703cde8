// Addresses: #/ , #/episode/ID/step/K , #/compare/TASK/SEED?a=ARM&b=ARM&step=K ; in a folder of runs with /run/NAME before.
const code = encodeURIComponent;

export function parse(hash) {
  const [path, query] = hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  const route = { run: "", page: "list", query: new URLSearchParams(query || "") };
  if (parts[0] === "run") { route.run = parts[1] || ""; parts.splice(0, 2); route.inRun = true; }
  if (parts[0] === "episode") Object.assign(route, { page: "episode", id: parts[1], step: Number(parts[3] || 0) });
  if (parts[0] === "compare") Object.assign(route, { page: "compare", task: parts[1], seed: parts[2], step: Number(route.query.get("step") || 0) });
  return route;
}

const prefix = (run) => (run ? `#/run/${code(run)}` : "#");
export const list = (run) => prefix(run) + "/";
export const episode = (run, id, step = 0) => `${prefix(run)}/episode/${code(id)}/step/${step}`;
export const compare = (run, task, seed, a, b, step = 0) =>
  `${prefix(run)}/compare/${code(task)}/${seed}?a=${code(a)}&b=${code(b)}&step=${step}`;
