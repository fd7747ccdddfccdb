// What happens at the node, as server-sent events over fetch: an EventSource has no headers, so its
// token would stand in the address. A stream that ends, or is silent for too long, is begun again.

import { ask, Refused } from "./node.js";

const SILENCE_MS = 30_000; // three beats of the node
const WAITS_MS = [500, 1_000, 2_000, 4_000, 8_000];

export class Stream {
  constructor({ onMessage, onState }) {
    this.onMessage = onMessage;
    this.onState = onState;
    this.failures = 0;
    this.round = 0;
    this.control = null;
  }

  start() {
    this.round += 1;
    this.failures = 0;
    this.control?.abort();
    this.run(this.round);
  }

  async run(round) {
    while (round === this.round) {
      const end = await this.once(round);
      if (round !== this.round || end === "unauthorized") return;
      const wait = WAITS_MS[Math.min(this.failures, WAITS_MS.length - 1)] * (0.8 + 0.4 * Math.random());
      this.failures += 1;
      this.onState("lost", end);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  async once(round) {
    const control = new AbortController();
    this.control = control;
    let silence = setTimeout(() => control.abort(), SILENCE_MS);
    try {
      const response = await ask("api/stream", { signal: control.signal });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return "the node ended";
        clearTimeout(silence);
        silence = setTimeout(() => control.abort(), SILENCE_MS);
        const messages = (text + value).split("\n\n");
        text = messages.pop();
        for (const each of messages) if (round === this.round) this.take(each);
      }
    } catch (error) {
      if (error instanceof Refused && error.status === 401) {
        if (round === this.round) this.onState("unauthorized", error.message);
        return "unauthorized";
      }
      return error instanceof Refused ? error.message : "the node does not answer";
    } finally {
      clearTimeout(silence);
    }
  }

  take(message) {
    const fields = new Map();
    for (const line of message.split("\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
    }
    if (!fields.has("data")) return;
    if (this.failures > 0 || fields.get("event") === "hello") {
      this.failures = 0;
      this.onState("live", "");
    }
    this.onMessage(fields.get("event"), JSON.parse(fields.get("data")));
  }
}
