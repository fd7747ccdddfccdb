// The peers: a picture of who is connected and who lags, and a list that says the same in words.

import { byId, element, isolated, setState, setText, shape } from "./elements.js";
import { read } from "./node.js";
import { count, duration, moment } from "./words.js";

const FAR_MS = 30_000; // behind for longer than a reconnect and a batch take
const RING_MAX = 14; // peers; more stand in several rings, without names, which would cover each other
const NAME_WIDTH = 34; // pixels of the picture for each peer, so that there is room for its name
const WORDS_WIDTH = 60;
const rows = new Map();
let latest = null;

export function standing(peer) {
  const isConnected = peer.state === "connected";
  const lag = peer.lag;
  const age = duration(peer.lag_ms);
  const behind = `${count(lag)} behind, ${age}`;
  if (isConnected && lag === 0) return { level: "step", words: "in step" };
  if (lag === 0) return { level: "away", words: peer.state };
  const level = peer.lag_ms < FAR_MS && peer.state !== "faulted" ? "near" : "far";
  return { level, words: isConnected ? behind : `${peer.state}, ${behind}` };
}

export function showPeers(vitals) {
  latest = vitals;
  draw();
  const known = new Set(vitals.peers.map((peer) => peer.node_id));
  for (const [id, row] of rows) {
    if (!known.has(id)) {
      row.item.remove();
      rows.delete(id);
    }
  }
  for (const peer of vitals.peers) {
    if (!rows.has(peer.node_id)) rows.set(peer.node_id, newRow(peer));
    update(rows.get(peer.node_id), peer);
  }
  if (vitals.peers.length === 0) setText(byId("peer-list"), "");
}

new ResizeObserver(() => latest && draw()).observe(byId("graph"));

function draw() {
  const { node, peers } = latest;
  const width = Math.max(260, byId("graph").clientWidth);
  const isRow = peers.length < 3 && width > 420;
  const height = isRow ? 150 : 300;
  const middle = height / 2 - 12;
  const places = placed(peers, width, height, isRow);
  const links = places.map(({ peer, x, y }) => {
    const { level } = standing(peer);
    const isThere = peer.state === "connected";
    return shape("line", { class: "link", "data-level": level, "data-there": String(isThere), x1: width / 2, y1: middle, x2: x, y2: y });
  });
  const picture = shape(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": inWords(node, peers) },
    relays(places),
    links,
    shape("circle", { class: "self", cx: width / 2, cy: middle, r: 13 }),
    label(width / 2, middle + 31, [["name", short(node.node_id)]], width),
    places.map((place) => peerShapes(place, peers.length, width, middle)),
  );
  byId("graph").replaceChildren(picture);
}

function placed(peers, width, height, isRow) {
  const found = [];
  const byLag = [...peers].sort((a, b) => b.lag - a.lag || a.node_id.localeCompare(b.node_id));
  const shownFirst = new Map(byLag.map((peer, index) => [peer.node_id, index]));
  const ordered = peers.length > RING_MAX ? byLag : [...peers];
  let ring = 0;
  for (let first = 0; first < ordered.length; ) {
    const room = peers.length <= RING_MAX ? peers.length : 24 + 12 * ring;
    const here = ordered.slice(first, first + room);
    const shrink = peers.length <= RING_MAX ? 1 : Math.max(0.3, 1.15 - 0.18 * ring);
    here.forEach((peer, index) => {
      const turn = firstAngle(here.length, isRow);
      const angle = turn + (2 * Math.PI * index) / here.length;
      const x = width / 2 + Math.cos(angle) * (width / 2 - Math.min(90, width / 5)) * shrink;
      const y = height / 2 - 12 + Math.sin(angle) * (height / 2 - 54) * shrink;
      found.push({ peer, x, y, rank: shownFirst.get(peer.node_id) });
    });
    first += here.length;
    ring += 1;
  }
  return found.sort((a, b) => a.rank - b.rank);
}

// An even ring begins between the axes, so that lines do not run through the names below their ends.
function firstAngle(number, isRow) {
  if (isRow) return Math.PI;
  return -Math.PI / 2 + (number > 2 && number % 2 === 0 ? Math.PI / number : 0);
}

function relays(places) {
  const at = new Map(places.map((place) => [place.peer.node_id, place]));
  return places.flatMap(({ peer, x, y }) =>
    peer.relayed_by.map((id) => at.get(id)).filter(Boolean).map((by) =>
      shape("line", { class: "relay", x1: by.x, y1: by.y, x2: x, y2: y })),
  );
}

function peerShapes({ peer, x, y }, number, width, middle) {
  const { level, words } = standing(peer);
  const parts = [mark(level, x, y)];
  const lines = [["name", short(peer.node_id)], ["quiet", words]].slice(0, number * WORDS_WIDTH <= width ? 2 : 1);
  const start = y < middle - 10 ? y - 15 * lines.length : y + 25;
  if (number <= RING_MAX && number * NAME_WIDTH <= width) parts.push(label(x, start, lines, width));
  return shape("g", { class: "peer", "data-peer": peer.node_id, "data-level": level }, shape("title", {}, `${peer.node_id}: ${words}`), parts);
}

// Each level has a form of its own, for those who do not tell the colours apart.
function mark(level, x, y) {
  const look = { class: "mark-shape", "data-level": level };
  if (level === "near") return shape("rect", { ...look, x: x - 8.5, y: y - 8.5, width: 17, height: 17, rx: 3 });
  if (level === "far") return shape("path", { ...look, d: `M${x} ${y - 12}l12 12-12 12-12-12z` });
  return shape("circle", { ...look, cx: x, cy: y, r: level === "away" ? 8.5 : 10 });
}

function label(x, y, lines, width) {
  // Kept within the picture: a text of half its letters' width on each side.
  const half = Math.max(...lines.map(([, text]) => text.length)) * 3.4;
  const middle = Math.min(width - half - 2, Math.max(half + 2, x));
  return shape(
    "text",
    { x: middle, y, "text-anchor": "middle" },
    lines.map(([kind, text], index) => shape("tspan", { class: kind, x: middle, dy: index ? 15 : 0 }, text)),
  );
}

const short = (name) => (name.length > 18 ? `${name.slice(0, 17)}…` : name);

function inWords(node, peers) {
  if (peers.length === 0) return `${node.node_id} knows no peer`;
  return `${node.node_id} and its peers: ${peers.map((peer) => `${peer.node_id} ${standing(peer).words}`).join("; ")}`;
}

function newRow(peer) {
  const row = {
    mark: element("span", { class: "mark" }),
    words: element("span", { class: "quiet" }),
    facts: element("dl", { class: "facts" }),
    why: element("div", { class: "why" }),
    peer,
  };
  row.details = element(
    "details",
    { ontoggle: () => row.details.open && explain(row) },
    element("summary", {}, row.mark, isolated(peer.node_id, "name"), row.words),
    row.facts,
    row.why,
  );
  row.item = element("li", { "data-peer": peer.node_id }, row.details);
  byId("peer-list").append(row.item);
  return row;
}

function update(row, peer) {
  const before = row.peer;
  row.peer = peer;
  const { level, words } = standing(peer);
  setState(row.item, "level", level);
  setState(row.mark, "level", level);
  setText(row.words, words);
  if (!row.details.open) return;
  showFacts(row);
  if (before.state !== peer.state || (before.lag === 0) !== (peer.lag === 0)) explain(row);
}

function showFacts({ facts, peer }) {
  const found = [
    ["State", peer.state + (peer.since_ms === null ? "" : ` since ${moment(peer.since_ms)}`)],
    ["Address", peer.host ? `${peer.host}:${peer.port}` : "not known"],
    ["In flight", `${count(peer.in_flight)} writes in ${count(peer.batches_in_flight)} batches`],
    ["There and back", peer.round_trip_ms === null ? "not measured" : `${count(peer.round_trip_ms)} ms`],
    ["Acknowledged after", peer.confirmation_ms === null ? "not measured" : `${count(peer.confirmation_ms)} ms`],
    ["Last error", peer.last_error || "none"],
  ];
  while (facts.children.length < found.length) facts.append(element("div", {}, element("dt"), element("dd")));
  found.forEach(([name, value], index) => {
    setText(facts.children[index].firstChild, name);
    setText(facts.children[index].lastChild, value);
  });
}

async function explain(row) {
  showFacts(row);
  try {
    const { sentences, advice } = await read("api/peer", { id: row.peer.node_id });
    row.why.replaceChildren(...told(sentences, advice));
  } catch (error) {
    row.why.replaceChildren(element("p", { class: "quiet" }, error.message));
  }
}

export function told(sentences, advice) {
  return [
    ...sentences.map((sentence) => element("p", {}, isolated(sentence))),
    ...advice.map((words) => element("p", { class: "advice" }, isolated(words))),
  ];
}
