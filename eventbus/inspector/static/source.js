// Where the page's data comes from: the server beside it, or the page itself (export --to html).

import { parseFilter } from "./filter.js";

/** @typedef {Record<string, any>} Json */
/** @typedef {{count: number, searched: number, lines: any[][]}} Lines */
/** @typedef {{address: string, from: number, to: number}} Sound */
/** @typedef {"connected" | "lost" | "ended"} Connection */

const SOUND_MS = 60_000;

/** Return the source of this page's data. */
export function openSource() {
  const embedded = document.getElementById("recording");
  return embedded === null ? new Server() : new Embedded(JSON.parse(embedded.textContent ?? ""));
}

/** The server's answers; whatever is asked for is a window, never a whole call. */
class Server {
  isLive = false;

  /** @returns {Promise<Json[]>} */
  async calls() {
    const answer = await this.#get("api/calls");
    this.isLive = answer.is_live;
    return answer.calls;
  }

  /** @param {string} id */
  overview(id) {
    return this.#get(`api/calls/${id}`);
  }

  /** @param {string} id @param {number} from @param {number} to */
  window(id, from, to) {
    return this.#get(`api/calls/${id}/window?from=${from}&to=${to}`);
  }

  /** @param {string} id @param {string} filter @param {number} from @param {number} count @returns {Promise<Lines>} */
  lines(id, filter, from, count) {
    return this.#get(`api/calls/${id}/lines?from=${from}&count=${count}&filter=${encodeURIComponent(filter)}`);
  }

  /** @param {string} id @param {string} filter @param {number} seq @returns {Promise<number | null>} */
  async place(id, filter, seq) {
    return (await this.#get(`api/calls/${id}/place/${seq}?filter=${encodeURIComponent(filter)}`)).place;
  }

  /** @param {string} id @param {number} from @param {number} to @returns {Promise<Json[]>} */
  rows(id, from, to) {
    return this.#get(`api/calls/${id}/rows?from=${from}&to=${to}`);
  }

  /** @param {string} id @param {number} seq */
  detail(id, seq) {
    return this.#get(`api/calls/${id}/records/${seq}`);
  }

  /** @param {string} left @param {string} right */
  difference(left, right) {
    return this.#get(`api/diff?left=${left}&right=${right}`);
  }

  /** Return the part of the sound that begins at a time. @param {string} id @param {number} ms @returns {Sound} */
  sound(id, ms) {
    const from = Math.max(0, Math.floor(ms));
    const to = from + SOUND_MS;
    return { address: `api/calls/${id}/audio.wav?from=${from}&to=${to}`, from, to };
  }

  /**
   * Call back with each change, and with the state of the connection.
   * @param {(calls: Json[]) => void} onCalls
   * @param {(state: Connection) => void} onState
   */
  follow(onCalls, onState) {
    /** @type {EventSource | null} */
    let stream = null;
    let isOver = false;
    const open = () => {
      if (isOver) return;
      stream = new EventSource("api/stream?after=0");
      stream.addEventListener("open", () => onState("connected"));
      stream.addEventListener("error", () => {
        onState("lost");
        // After an answer that is no stream, a browser gives up; another server may come back.
        if (stream?.readyState === EventSource.CLOSED) setTimeout(open, 2000);
      });
      stream.addEventListener("calls", (message) => onCalls(JSON.parse(message.data)));
      stream.addEventListener("end", () => {
        isOver = true;
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
    if (!response.headers.get("content-type")?.includes("json")) throw new Error(await response.text());
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    return answer;
  }
}

/** The data that an exported page carries in itself. */
class Embedded {
  isLive = false;

  /** @param {Json} data */
  constructor(data) {
    this.data = data;
    /** @type {Map<string, any[][]>} */
    this.found = new Map();
  }

  async calls() {
    return [{ id: "0-0", ...this.data.overview }];
  }

  /** @param {string} _id */
  async overview(_id) {
    return this.data.overview;
  }

  /** @param {string} _id @param {number} _from @param {number} _to */
  async window(_id, _from, _to) {
    return { ...this.data.window, is_whole: true };
  }

  /** @param {string} filter @returns {any[][]} */
  #matching(filter) {
    if (filter.trim() === "") return this.data.lines;
    const known = this.found.get(filter);
    if (known !== undefined) return known;
    const matches = parseFilter(filter);
    const wanted = new Set();
    for (const [row, line] of this.data.rows) if (matches(row)) wanted.add(line);
    const lines = this.data.lines.filter((/** @type {any} */ _, /** @type {number} */ place) => wanted.has(place));
    this.found.clear();
    this.found.set(filter, lines);
    return lines;
  }

  /** @param {string} _id @param {string} filter @param {number} from @param {number} count @returns {Promise<Lines>} */
  async lines(_id, filter, from, count) {
    const lines = this.#matching(filter);
    return { count: lines.length, searched: 1, lines: lines.slice(from, from + count) };
  }

  /** @param {string} _id @param {string} filter @param {number} seq @returns {Promise<number | null>} */
  async place(_id, filter, seq) {
    const row = this.data.rows.find((/** @type {any[]} */ [each]) => each.seq === seq);
    const place = row === undefined ? -1 : this.#matching(filter).indexOf(this.data.lines[row[1]]);
    return place < 0 ? null : place;
  }

  /** @param {string} _id @param {number} from @param {number} to @returns {Promise<Json[]>} */
  async rows(_id, from, to) {
    const rows = this.data.rows.map((/** @type {any[]} */ [row]) => row);
    return rows.filter((/** @type {Json} */ row) => row.seq >= from && row.seq <= to).slice(0, 2000);
  }

  /** @param {string} _id @param {number} seq */
  async detail(_id, seq) {
    const { records, rows } = this.data;
    const record = records[seq];
    if (record === undefined) throw new Error("There is no such record in this call.");
    const effects = rows.filter((/** @type {any[]} */ [row]) => row.cause === seq);
    return { record, cause: records[record.cause] ?? null, effects: effects.slice(0, 200).map((/** @type {any[]} */ [row]) => records[row.seq]) };
  }

  /** @param {string} _left @param {string} _right @returns {Promise<Json>} */
  async difference(_left, _right) {
    throw new Error("A page in one file has one call.");
  }

  /** @param {string} _id @param {number} _ms @returns {Sound} */
  sound(_id, _ms) {
    const { audio } = this.data;
    return { address: audio === null ? "" : `data:audio/wav;base64,${audio}`, from: 0, to: Infinity };
  }

  /** @param {(calls: Json[]) => void} _onCalls @param {(state: Connection) => void} onState */
  follow(_onCalls, onState) {
    onState("connected");
  }
}
