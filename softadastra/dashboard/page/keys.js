// The keys of the node, a page at a time, and what each holds.

import { byId, element, isolated, setText, shownValue } from "./elements.js";
import { read } from "./node.js";
import { told } from "./peers.js";
import { counted, moment } from "./words.js";

let prefix = "";
let next = null;
let round = 0;

byId("keys-form").addEventListener("submit", (event) => {
  event.preventDefault();
  lookAtKeys();
});
byId("keys-more").addEventListener("click", more);

export async function lookAtKeys() {
  prefix = byId("keys-prefix").value;
  next = null;
  byId("keys-list").replaceChildren();
  await more();
}

async function more() {
  round += 1;
  const asked = round;
  try {
    const page = await read("api/keys", { prefix, after: next });
    if (asked !== round) return;
    next = page.next;
    const items = page.keys.map(newItem);
    byId("keys-list").append(...items);
    // Whoever has pressed a button that goes away reads on where it was.
    if (next === null && document.activeElement === byId("keys-more")) items[0]?.querySelector("summary").focus();
    byId("keys-more").hidden = next === null;
    const shown = byId("keys-list").children.length;
    setText(byId("keys-told"), shown === 0 && next === null ? "No such key." : counted(shown, "key") + (next === null ? "." : " so far."));
  } catch (error) {
    setText(byId("keys-told"), `The keys could not be read: ${error.message}`);
  }
}

function newItem(entry) {
  const inside = element("div", { class: "inside" });
  const glimpse = entry.value.text.replaceAll("\n", " ");
  const details = element(
    "details",
    { ontoggle: () => details.open && open(entry.key, inside) },
    element("summary", {}, isolated(entry.key, "key"), isolated(glimpse, "glimpse")),
    inside,
  );
  return element("li", { "data-key": entry.key }, details);
}

async function open(key, inside) {
  try {
    const { entry, sentences, advice } = await read("api/key", { key });
    const facts = entry === null ? null : element("p", { class: "quiet" }, `version ${entry.version}, `, isolated(entry.sync_id), ` at ${moment(entry.timestamp_ms)}`);
    inside.replaceChildren(...[shownValue(entry === null ? null : entry.value), facts, ...told(sentences, advice)].filter(Boolean));
  } catch (error) {
    inside.replaceChildren(element("p", { class: "quiet" }, error.message));
  }
}
