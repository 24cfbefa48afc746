// The screen: the state of the view, and what is drawn of it.

import { writePlace } from "./address.js";
import { countdown, nameLanes, stateWords } from "./frame.js";
import { drawLanes, drawMinimap, lanesOf } from "./lanes.js";
import { wantedWindow } from "./pages.js";
import { shownDuration, shownTime } from "./scale.js";
import { openSource } from "./source.js";

/** @typedef {Record<string, any>} Json */
/** @typedef {import("./lanes.js").Shown} Shown */
/** @typedef {import("./scale.js").Range} Range */

export const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
export const source = openSource();

/**
 * @typedef {object} State
 * @property {Json[]} calls
 * @property {string} id  Of the call that is shown.
 * @property {string} beside  Of the one below it; empty for none.
 * @property {Shown | null} call
 * @property {Shown | null} other
 * @property {number | null} besideShift  How much later the other's part begins, if not by itself.
 * @property {Range} range
 * @property {number | null} cursor
 * @property {string} filter
 * @property {number} seq  Of the record that is shown; 0 for none.
 * @property {string} tab
 * @property {boolean} follows
 * @property {boolean} handlers  Whether their lanes are open.
 * @property {Json | null} detail
 * @property {Json[]} rows
 * @property {Record<string, string>} colours
 * @property {import("./source.js").Connection} connection
 * @property {string} problem  Why the call can't be played, if that was tried; else empty.
 */

/** @type {State} */
export const state = {
  calls: [], id: "", beside: "", call: null, other: null, besideShift: null, range: { from: 0, to: 1 }, cursor: null, filter: "",
  seq: 0, tab: "records", follows: true, handlers: true, detail: null, rows: [], colours: {}, connection: "connected", problem: "",
};
// --- windows of the calls -------------------------------------------------------------------------

/** @param {Json} overview @param {Shown | null} before @returns {Promise<Shown>} */
export async function shownOf(overview, before) {
  const { small } = overview;
  const wave = (/** @type {string} */ side) => ({ ms: small.ms, first: 0, bytes: bytes(small[side]) });
  const parts = { small: { caller: wave("caller"), model: wave("model") } };
  if (before !== null) return { ...before, ...parts, overview };
  const end = overview.end_ms + 1;
  const range = state.range.to > 1 ? state.range : { from: 0, to: end };
  return { ...parts, overview, ...(await windowOf(overview.id, { from: 0, to: Math.max(range.to, end) })) };
}

/** @param {string} id @param {Range} range */
async function windowOf(id, range) {
  const window = await source.window(id, range.from, range.to);
  const { peaks } = window;
  const wave = (/** @type {string} */ side) => ({ ms: peaks.ms, first: peaks.first_ms, bytes: bytes(peaks[side]) });
  return { window, waves: { caller: wave("caller"), model: wave("model") } };
}

/** @param {string} text */
function bytes(text) {
  return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
}

let isLoading = false;

/** Fetch the windows that are seen, if they aren't here. @param {boolean} [isStale] */
export async function loadWindows(isStale = false) {
  if (isLoading && !isStale) return;
  isLoading = true;
  try {
    for (const side of /** @type {const} */ (["call", "other"])) {
      const shown = state[side];
      if (shown === null) continue;
      const wanted = wantedWindow(side === "call" ? state.range : besideRange(shown), isStale ? null : shown.window);
      if (wanted === null) continue;
      const found = await windowOf(shown.overview.id, wanted);
      const now = state[side];
      if (now !== null && now.overview.id === shown.overview.id) state[side] = { ...now, ...found };
    }
  } finally {
    isLoading = false;
  }
}

let drawing = 0;

/** Draw what is here; what is missing comes a moment later. */
export function moved() {
  draw();
  clearTimeout(drawing);
  drawing = setTimeout(() => void loadWindows().then(draw, () => {}), 60);
}

// --- what is seen -----------------------------------------------------------------------------

export function wholeRange() {
  const { start_ms: from, end_ms: to } = /** @type {Shown} */ (state.call).overview;
  return { from, to: Math.max(to, from + 1) };
}

/** Return the part of the other call that stands below. @param {Shown} other */
function besideRange(other) {
  const shift = state.besideShift ?? other.overview.start_ms - /** @type {Shown} */ (state.call).overview.start_ms;
  return { from: state.range.from + shift, to: state.range.to + shift };
}

export function draw() {
  const { call, other, range, colours } = state;
  if (call === null) return;
  const lanes = lanesOf(call, state.handlers);
  nameLanes($("lane-names"), lanes);
  const summary = `${call.overview.totals.turns} turns, ${call.overview.error_count} errors, from ${shownTime(range.from)} to ${shownTime(range.to)}`;
  $("lanes").setAttribute("aria-label", `Lanes of the call: ${summary}; the list of records has the same marks as text`);
  drawLanes($("lanes"), call, lanes, range, { cursor: state.cursor, colours });
  drawMinimap($("minimap"), call, wholeRange(), range, colours);
  $("other").hidden = other === null;
  if (other === null) return;
  const beside = lanesOf(other, false);
  nameLanes($("other-names"), beside);
  drawLanes($("other-lanes"), other, beside, besideRange(other), { cursor: null, colours });
}

/** @param {string} text */
export function banner(text) {
  $("banner").textContent = text;
  $("banner").hidden = text === "";
}

export function showState() {
  const call = state.calls.find((each) => each.id === state.id) ?? null;
  $("state").textContent = stateWords(state.connection, source.isLive, call);
  $("state").dataset.state = state.connection;
  $("expires").textContent = state.call === null ? "" : countdown(state.call.overview);
}

/** @param {Json} call */
export function named(call) {
  const sender = call.sender === null ? "without a sender" : call.sender;
  const end = call.status === "disconnected" ? ", ended" : "";
  return `${call.journal}: ${sender}, ${shownDuration(call.duration_ms)}, ${call.records.toLocaleString("en")} records${end}`;
}

export function writeHash() {
  const { id, range, beside, filter, seq, tab } = state;
  history.replaceState(null, "", writePlace({ call: id, range, beside, filter, seq, tab: tab === "records" ? "" : tab }));
}
