// Where the page's data comes from: the server beside it, or the page itself (export --to html).

import { parseFilter } from "./filter.js";

/** @typedef {Record<string, any>} Json */

/** Return the source of this page's data. */
export function openSource() {
  const embedded = document.getElementById("recording");
  return embedded === null ? new Server() : new Embedded(JSON.parse(embedded.textContent ?? ""));
}

/** The server's answers. */
class Server {
  isLive = false;

  async calls() {
    const answer = await this.#get("api/calls");
    this.isLive = answer.is_live;
    return answer.calls;
  }

  document(/** @type {string} */ id) {
    return this.#get(`api/calls/${id}`);
  }

  lines(/** @type {string} */ id, /** @type {string} */ filter) {
    return this.#get(`api/calls/${id}/lines?filter=${encodeURIComponent(filter)}`);
  }

  rows(/** @type {string} */ id, /** @type {number} */ from, /** @type {number} */ to) {
    return this.#get(`api/calls/${id}/rows?from=${from}&to=${to}`);
  }

  detail(/** @type {string} */ id, /** @type {number} */ seq) {
    return this.#get(`api/calls/${id}/records/${seq}`);
  }

  audio(/** @type {string} */ id, /** @type {number} */ lastSeq) {
    return `api/calls/${id}/audio.wav?upto=${lastSeq}`;
  }

  /**
   * Call back with each change, and with the state of the connection.
   * @param {(calls: Json[]) => void} onCalls
   * @param {(state: "connected" | "lost" | "ended") => void} onState
   */
  follow(onCalls, onState) {
    let stream = null;
    const open = () => {
      stream = new EventSource("api/stream?after=0");
      stream.addEventListener("open", () => onState("connected"));
      stream.addEventListener("error", () => onState("lost"));
      stream.addEventListener("calls", (message) => onCalls(JSON.parse(message.data)));
      stream.addEventListener("end", () => {
        onState("ended");
        stream?.close();
      });
    };
    // A browser has six connections for a server: a tab that is not seen gives its own back.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) stream?.close();
      else open();
    });
    open();
  }

  /** @param {string} path @returns {Promise<any>} */
  async #get(path) {
    const response = await fetch(path);
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    return answer;
  }
}

/** The data that an exported page carries in itself. */
class Embedded {
  isLive = false;

  constructor(/** @type {Json} */ data) {
    this.data = data;
  }

  async calls() {
    return [{ id: "0-0", ...this.data.summary }];
  }

  async document(_id) {
    return this.data.document;
  }

  async lines(_id, /** @type {string} */ filter) {
    const { columns, lines } = this.data.lines;
    if (filter.trim() === "") return { columns, lines };
    const matches = parseFilter(filter);
    const wanted = new Set();
    for (const [row, line] of this.data.rows) if (matches(row)) wanted.add(line);
    return { columns, lines: lines.filter((_, /** @type {number} */ place) => wanted.has(place)) };
  }

  async rows(_id, /** @type {number} */ from, /** @type {number} */ to) {
    return this.data.rows.map(([row]) => row).filter((row) => row.seq >= from && row.seq <= to).slice(0, 2000);
  }

  async detail(_id, /** @type {number} */ seq) {
    const record = this.data.records[seq];
    if (record === undefined) throw new Error("There is no such record in this call.");
    const effects = this.data.rows.filter(([row]) => row.cause === seq).map(([row]) => this.data.records[row.seq]);
    return { record, cause: this.data.records[record.cause] ?? null, effects: effects.slice(0, 200) };
  }

  audio() {
    return this.data.audio === null ? "" : `data:audio/wav;base64,${this.data.audio}`;
  }

  follow() {}
}
