// Elements from plain values. Logged text only ever becomes text nodes.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "css") for (const [key, part] of Object.entries(value)) element.style.setProperty(key, part);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function show(place, ...children) {
  place.replaceChildren(...children.flat(9).filter(Boolean));
}

export async function get(path, query = {}) {
  const response = await fetch(path + "?" + new URLSearchParams(query));
  const content = await response.json();
  if (!response.ok) throw new Error(content.error || response.statusText);
  return content;
}

export function number(value, digits = 3) {
  if (value === null || value === undefined) return "\u2013";
  return typeof value === "number" ? value.toFixed(digits).replace("-", "\u2212") : String(value);
}

// A click that is meant for this page: not with a key that opens another one.
export function plainly(event, action) {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  action();
}
