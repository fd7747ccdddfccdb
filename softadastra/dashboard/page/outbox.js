// What waits in the outbox, over the last quarter of an hour.

import { byId, setText, shape } from "./elements.js";
import { clock, count } from "./words.js";

const SPAN_MS = 15 * 60 * 1000;
const HEIGHT = 190;
const LEFT = 44;
const BOTTOM = 22;
const PARTS = ["failed", "in_flight", "queued", "held"]; // from the ground up
const COLUMN = { held: 1, queued: 2, in_flight: 3, failed: 4 };
let samples = [];

export function beginOutbox(rows) {
  samples = rows;
  draw();
}

export function showOutbox({ observed_ms, sync }) {
  samples.push([observed_ms, sync.held_count, sync.queued_count, sync.in_flight_count, sync.failed_count]);
  samples = samples.filter(([at]) => at > observed_ms - SPAN_MS && at <= observed_ms);
  draw();
}

new ResizeObserver(() => draw()).observe(byId("chart"));

function draw() {
  if (samples.length === 0) return;
  const width = Math.max(260, byId("chart").clientWidth);
  const last = samples.at(-1);
  setText(byId("outbox-now"), inWords(last));
  const until = last[0];
  const top = nice(Math.max(1, ...samples.map((row) => row[1] + row[2] + row[3] + row[4])));
  const x = (at) => LEFT + ((at - (until - SPAN_MS)) / SPAN_MS) * (width - LEFT - 6);
  const y = (value) => 8 + (1 - value / top) * (HEIGHT - BOTTOM - 8);

  const ground = samples.map(() => 0);
  const areas = PARTS.map((part) => {
    const below = [...ground];
    samples.forEach((row, index) => (ground[index] += row[COLUMN[part]]));
    const up = samples.map((row, index) => `${x(row[0]).toFixed(1)},${y(ground[index]).toFixed(1)}`);
    const back = samples.map((row, index) => `${x(row[0]).toFixed(1)},${y(below[index]).toFixed(1)}`).reverse();
    return shape("polygon", { class: "area", "data-part": part, points: [...up, ...back].join(" ") });
  });
  const lines = [0, top / 2, top].filter(Number.isInteger).map((value) => [
    shape("line", { class: "grid", x1: LEFT, x2: width - 6, y1: y(value), y2: y(value) }),
    shape("text", { class: "quiet", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, compact(value)),
  ]);
  const times = [15, 10, 5, 0].map((minutes) =>
    shape("text", { class: "quiet", x: x(until - minutes * 60_000), y: HEIGHT - 5, "text-anchor": minutes === 15 ? "start" : minutes ? "middle" : "end" }, minutes ? `${minutes} min` : "now"));
  byId("chart").replaceChildren(
    shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": `The outbox from ${clock(samples[0][0])} to ${clock(until)}. ${inWords(last)}` }, lines, areas, times),
  );
}

function inWords([, held, queued, flying, failed]) {
  if (held + queued + flying + failed === 0) return "Nothing waits: every peer has all of this node's writes.";
  const parts = [[queued, "queued"], [flying, "in flight"], [failed, "failed"], [held, "held back"]];
  return `${parts.filter(([number]) => number > 0).map(([number, name]) => `${count(number)} ${name}`).join(", ")}.`;
}

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}

const compact = (value) => (value >= 10_000 ? `${count(Math.round(value / 1000))} k` : count(value));
