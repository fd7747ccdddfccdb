// What happens, the latest first.

import { byId, element, isolated, setText } from "./elements.js";
import { clock, count, counted } from "./words.js";

const KEPT = 200;
let isPaused = false;
let withheld = [];
let missed = 0;

byId("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  byId("pause").setAttribute("aria-pressed", String(isPaused));
  setText(byId("pause"), isPaused ? "Go on" : "Pause");
  if (!isPaused) add(withheld.splice(0));
  missed = 0;
  tell();
});

export function showHappenings({ changes, changes_left_out, events, events_left_out }) {
  const found = [
    ...changes.map((change) => [change.timestamp_ms, () => changeRow(change)]),
    ...events.map((event) => [event.timestamp_ms, () => eventRow(event)]),
  ].sort(([a], [b]) => a - b).map(([, make]) => make);
  if (changes_left_out) found.push(() => gap("there were more changes than can be shown"));
  if (events_left_out) found.push(() => gap(`${counted(events_left_out, "more event")} than can be shown`));
  take(found);
}

export function noteLeftOut({ messages }) {
  take([() => gap(`this page was too slow for ${counted(messages, "message")}`)]);
}

export function noteHere(words) {
  take([() => gap(words)]);
}

function take(makers) {
  if (!isPaused) {
    add(makers);
    return;
  }
  missed += makers.length;
  withheld = [...withheld, ...makers].slice(-KEPT);
  tell();
}

function tell() {
  setText(byId("happenings-told"), isPaused ? `Paused. ${count(missed)} since then.` : "");
}

function add(makers) {
  const list = byId("happenings-list");
  list.prepend(...makers.slice(-KEPT).map((make) => make()).reverse());
  while (list.children.length > KEPT) list.lastChild.remove();
}

function changeRow({ key, value, origin, timestamp_ms }) {
  const what = value === null ? element("em", {}, "removed") : isolated(value.text.replaceAll("\n", " "), "glimpse");
  return row("change", timestamp_ms, "change", [isolated(key, "key"), what, element("span", { class: "quiet" }, "by ", isolated(origin || "nobody knows whom"))]);
}

function eventRow({ name, level, timestamp_ms, fields }) {
  const told = Object.entries(fields).map(([field, value]) => element("span", { class: "field" }, `${field} `, isolated(value)));
  return row(level, timestamp_ms, name, told);
}

function gap(words) {
  return row("gap", Date.now(), "note", [element("span", { class: "quiet" }, words)]);
}

function row(level, ms, name, parts) {
  return element("li", { "data-level": level }, element("time", { datetime: new Date(ms).toISOString() }, clock(ms)), element("span", { class: "what" }, name), element("span", { class: "told-of" }, parts));
}
