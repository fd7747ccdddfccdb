// How the node is, in a sentence and a few numbers.

import { byId, element, setState, setText } from "./elements.js";
import { count, counted, duration, rate, size } from "./words.js";

const shown = new Map();

export function showOverview(vitals) {
  const { node, store, log, sync, peers, rates } = vitals;
  setText(byId("node-name"), node.display_name || node.node_id);
  document.title = `${node.display_name || node.node_id} · Softadastra`;
  setText(byId("node-facts"), facts(vitals));
  const [level, words] = verdict(vitals);
  setText(byId("verdict"), words);
  // Said aloud when it changes for the better or worse, not with each second that a lag is older.
  if (byId("verdict").dataset.level !== level) setText(byId("verdict-told"), words);
  setState(byId("verdict"), "level", level);

  const connected = peers.filter((peer) => peer.state === "connected").length;
  const waiting = sync.queued_count + sync.in_flight_count + sync.failed_count + sync.held_count;
  tile("Keys", count(store.entries), size(store.size_bytes));
  tile("Peers", `${count(connected)} of ${count(peers.length)}`, "connected");
  tile("Outbox", count(waiting), waiting ? "writes that peers lack" : "everything delivered");
  tile("Conflicts", count(store.conflicts), `${counted(store.lost, "write")} lost one`);
  tile("Writes", rates ? `${rate(rates.writes_made)}/s` : "…", rates ? `${rate(rates.writes_in)}/s from peers` : "");
  if (log === null) tile("Log", "none", "in memory only");
  else tile("Log", size(log.size_bytes), log.sync_p99_ms === null ? "not synced yet" : `99% of syncs within ${milliseconds(log.sync_p99_ms)}`);
}

function facts({ node, store }) {
  const place = node.transport_port === null ? "offline" : `port ${node.transport_port}`;
  const name = node.display_name ? `${node.node_id} · ` : "";
  return `${name}${place} · up ${duration(node.uptime_ms)} · state ${store.digest.slice(0, 8)}`;
}

function verdict({ node, store, peers, sync }) {
  if (!node.is_writing) return ["bad", "The disk failed: this node takes no more writes until it is opened again."];
  if (node.transport_port === null) return ["warn", "This node is offline: what is written here stays here."];
  if (peers.length === 0) return ["plain", "No peer is known: all of it is on this node alone."];
  const behind = peers.filter((peer) => peer.lag > 0);
  if (sync.failed_count > 0) return ["bad", `${counted(sync.failed_count, "write")} not acknowledged by peers that do not answer.`];
  if (behind.length > 0) {
    const oldest = Math.max(...behind.map((peer) => peer.lag_ms));
    const words = `${counted(behind.length, "peer")} ${behind.length === 1 ? "lacks" : "lack"} writes of this node`;
    return [oldest < 5_000 ? "plain" : "warn", `${words}, the oldest ${duration(oldest)} old.`];
  }
  if (store.conflicts > 0) return ["warn", `Every peer has all of it; ${counted(store.conflicts, "conflict")} to settle.`];
  return ["good", "Every peer has everything that was written here."];
}

const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;

function tile(name, value, below) {
  if (!shown.has(name)) {
    const made = { value: element("dd"), below: element("dd", { class: "quiet" }) };
    byId("tiles").append(element("div", { class: "tile" }, element("dt", {}, name), made.value, made.below));
    shown.set(name, made);
  }
  setText(shown.get(name).value, value);
  setText(shown.get(name).below, below);
}
