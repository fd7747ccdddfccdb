// Elements are made from text and never from HTML: what stands in a store is shown, not obeyed.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

// Text of people may run right to left: isolated, it does not turn what stands around it.
export const isolated = (text, className = "") => element("bdi", { class: className || null }, text);

export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export function setState(target, name, value) {
  if (target.dataset[name] !== value) target.dataset[name] = value;
}

export function shownValue(value) {
  if (value === null) return element("p", { class: "quiet" }, "removed");
  const cut = value.text.length < value.characters && [...value.text].length < value.characters;
  return element(
    "div",
    { class: "value" },
    element("pre", { tabindex: 0, "aria-label": value.kind, dir: "auto" }, value.text === "" ? "(empty)" : value.text),
    element(
      "p",
      { class: "quiet" },
      value.kind + (cut ? `, the beginning of ${value.characters.toLocaleString("en")} characters` : ""),
    ),
  );
}
