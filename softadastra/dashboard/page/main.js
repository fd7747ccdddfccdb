// The page: it takes the token, listens to the node, and hands on what it hears.

import { lookAtConflicts, showConflicts } from "./conflicts.js";
import { byId, setState, setText } from "./elements.js";
import { noteHere, noteLeftOut, showHappenings } from "./happenings.js";
import { lookAtKeys } from "./keys.js";
import { takeToken, takeTokenFromAddress } from "./node.js";
import { beginOutbox, showOutbox } from "./outbox.js";
import { showOverview } from "./overview.js";
import { showPeers } from "./peers.js";
import { Stream } from "./stream.js";
import { clock } from "./words.js";

const OLD_MS = 20_000; // a node that has much to count tells how it is every ten seconds

let startedAt = null;
let isFirst = true;
let heardAt = 0;

const stream = new Stream({ onMessage: take, onState: showState });

function take(name, document) {
  if (name === "hello") begin(document);
  else if (name === "vitals") showVitals(document);
  else if (name === "happenings") showHappenings(document);
  else if (name === "left_out") noteLeftOut(document);
  else if (name === "away") showBadge("lost", "The node is closed");
}

function begin({ outbox }) {
  beginOutbox(outbox);
  if (isFirst) lookAtKeys();
  lookAtConflicts();
  isFirst = false;
}

function showVitals(vitals) {
  heardAt = performance.now();
  if (startedAt !== null && startedAt !== vitals.node.started_at_ms) {
    noteHere(`the node was started again at ${clock(vitals.node.started_at_ms)}`);
    showBadge("live", "Live, after a restart");
  } else if (byId("connection").dataset.state !== "live") {
    showBadge("live", "Live");
  }
  startedAt = vitals.node.started_at_ms;
  showOverview(vitals);
  showPeers(vitals);
  showOutbox(vitals);
  showConflicts(vitals);
}

function showState(state, words) {
  document.body.dataset.state = state;
  byId("token").hidden = state !== "unauthorized";
  byId("views").hidden = state === "unauthorized";
  if (state === "unauthorized") {
    showBadge("waiting", "Token needed");
    if (startedAt !== null) setText(byId("token-words"), "The node has another token now: it was probably started again. Open the address that it printed, or paste its token here.");
    byId("token-input").focus();
  } else if (state === "lost") {
    showBadge("lost", `Not connected: ${words}. Trying again`);
  }
}

setInterval(() => {
  const isOld = startedAt !== null && performance.now() - heardAt > OLD_MS;
  if (isOld && byId("connection").dataset.state === "live") showBadge("lost", "The node does not say how it is");
}, 2_000);

function showBadge(state, words) {
  setState(byId("connection"), "state", state);
  setText(byId("connection"), words);
}

byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  takeToken(byId("token-input").value);
  byId("token-input").value = "";
  stream.start();
});
addEventListener("hashchange", () => takeTokenFromAddress() && stream.start());

takeTokenFromAddress();
stream.start();
