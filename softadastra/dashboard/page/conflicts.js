// Keys that were written by nodes that did not know of each other's write, and a choice among them.

import { byId, element, isolated, setText, shownValue } from "./elements.js";
import { change, read } from "./node.js";
import { counted, moment } from "./words.js";

const forms = { open: new Map(), settled: new Map() };
let counts = "";
let isLooking = false;
let isStale = false;

export function showConflicts({ store }) {
  const now = `${store.conflicts} ${store.lost}`;
  if (now !== counts) {
    counts = now;
    lookAtConflicts();
  }
}

export async function lookAtConflicts() {
  if (isLooking) {
    isStale = true;
    return;
  }
  isLooking = true;
  try {
    do {
      isStale = false;
      show("open", await read("api/conflicts", { state: "open" }));
      if (byId("settled").open) show("settled", await read("api/conflicts", { state: "settled" }));
    } while (isStale);
  } catch (error) {
    setText(byId("conflicts-told"), `The conflicts could not be read: ${error.message}`);
  } finally {
    isLooking = false;
  }
}

byId("settled").addEventListener("toggle", lookAtConflicts);

// A form that somebody is in stays as it is while its values do.
function show(state, { conflicts, next }) {
  const target = byId(`conflicts-${state}`);
  const known = forms[state];
  const wanted = new Map(conflicts.map((conflict) => [conflict.key + "\n" + conflict.seen.join("\n"), conflict]));
  const ends = [];
  for (const [id, form] of known) {
    if (!wanted.has(id)) {
      if (form.contains(document.activeElement)) ends.push(form);
      form.remove();
      known.delete(id);
    }
  }
  target.querySelectorAll(":scope > p").forEach((each) => each.remove());
  for (const [id, conflict] of wanted) {
    if (!known.has(id)) known.set(id, newForm(conflict));
    target.append(...(known.get(id).isConnected ? [] : [known.get(id)]));
  }
  if (conflicts.length === 0) target.append(element("p", { class: "quiet" }, state === "open" ? "Nothing to settle." : "None."));
  if (next !== null) target.append(element("p", { class: "quiet" }, state === "open" ? "There are more, which follow when these are settled." : "There are more: softadastra conflicts lists them."));
  if (ends.length > 0) (target.querySelector("input") ?? byId("conflicts-title")).focus();
}

let number = 0;

function newForm(conflict) {
  number += 1;
  const group = `choice-${number}`;
  const text = element("textarea", { rows: 2, "aria-label": "Another value", spellcheck: "false" });
  const kind = element("select", { "aria-label": "What it is" }, element("option", { value: "text" }, "text"), element("option", { value: "json" }, "JSON"));
  const other = element("input", { type: "radio", name: group, value: "" });
  text.addEventListener("input", () => (other.checked = true));
  const refusal = element("p", { class: "refusal", role: "alert" });
  const form = element(
    "form",
    { class: "conflict", "data-key": conflict.key },
    element(
      "fieldset",
      {},
      element("legend", {}, isolated(conflict.key, "key"), element("span", { class: "quiet" }, ` ${conflict.is_open ? "waits for a choice" : "settled"}, ${conflict.policy.replaceAll("_", " ")}`)),
      conflict.values.map((each, index) => choice(group, each, index, conflict)),
      conflict.seen.length > conflict.values.length
        ? element("p", { class: "quiet" }, `and ${counted(conflict.seen.length - conflict.values.length, "more value")}, which softadastra conflicts show lists`)
        : null,
      element("div", { class: "choice" }, element("label", {}, other, element("span", {}, "Another value")), element("div", { class: "row" }, text, kind)),
    ),
    refusal,
    element("button", { type: "submit" }, "Settle"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    settle(form, conflict, new FormData(form).get(group), text.value, kind.value, refusal);
  });
  return form;
}

function choice(group, each, index, conflict) {
  const hint = index === 0 ? (conflict.is_open ? "shown by reads now" : "won") : conflict.is_open ? "" : "lost";
  const words = `${each.origin} at ${moment(each.timestamp_ms)}`;
  return element(
    "div",
    { class: "choice" },
    element(
      "label",
      {},
      element("input", { type: "radio", name: group, value: each.sync_id, checked: index === 0 }),
      element("span", {}, "Keep the value of ", isolated(words), hint ? element("em", {}, hint) : null),
    ),
    shownValue(each.value),
  );
}

async function settle(form, conflict, keep, text, kind, refusal) {
  const button = form.querySelector("button");
  const chosen = keep ? { keep } : { text, kind };
  setText(refusal, "");
  button.setAttribute("aria-disabled", "true");
  try {
    const { sync_id } = await change("api/resolve", { key: conflict.key, seen: conflict.seen, ...chosen });
    setText(byId("conflicts-told"), `Settled ${conflict.key}${sync_id ? ` by ${sync_id}` : ": it stays removed"}.`);
    await lookAtConflicts();
  } catch (error) {
    setText(refusal, error.message);
    if (error.reason === "changed" || error.reason === "not_found") {
      setText(byId("conflicts-told"), `${conflict.key}: ${error.message}`);
      await lookAtConflicts();
    }
  } finally {
    button.removeAttribute("aria-disabled");
  }
}
