// Moving about: zoom, cursor, the next error or turn, and playing from there.

import { nextTime } from "./keys.js";
import { within, zoomed } from "./scale.js";
import { $, banner, draw, moved, source, state, wholeRange, writeHash } from "./screen.js";
import { Player } from "./sound.js";

/** @typedef {Record<string, any>} Json */
/** @typedef {import("./scale.js").Range} Range */

/** @param {string} id @param {number} ms */
function soundOf(id, ms) {
  const sound = source.sound(id, ms);
  return state.call?.overview.has_audio ? sound : { ...sound, address: "" };
}

export const player = new Player($("audio"), soundOf, {
  onState: (isPlaying) => {
    if (isPlaying) state.problem = "";
    $("play").setAttribute("aria-pressed", String(isPlaying));
    $("play").textContent = isPlaying ? "Pause" : "Play";
  },
  onTime: goTo,
  onEnd: () => wholeRange().to,
  onProblem: (text) => {
    state.problem = text; // for the next time that the call is fetched
    banner(text);
  },
});

/** @param {Range} range */
export function move(range) {
  state.range = range;
  setFollowing(false);
  writeHash();
  moved();
}

/** @param {number} factor @param {number | null} [at] */
export function zoom(factor, at = state.cursor) {
  const { from, to } = state.range;
  const middle = at !== null && at >= from && at <= to ? at : (from + to) / 2;
  move(zoomed(state.range, factor, middle, wholeRange()));
}

/** @param {number} share */
export function pan(share) {
  const by = (state.range.to - state.range.from) * share;
  move(within({ from: state.range.from + by, to: state.range.to + by }, wholeRange()));
}

/** @param {number} ms */
export function goTo(ms) {
  state.cursor = ms;
  const span = state.range.to - state.range.from;
  if (ms < state.range.from || ms > state.range.to) move(within({ from: ms - span / 2, to: ms + span / 2 }, wholeRange()));
  draw();
}

/** Show a turn of both calls, one below the other. @param {Json | null} left @param {Json | null} right */
export function goToTurn(left, right) {
  const at = left?.at_ms ?? right?.at_ms ?? 0;
  state.besideShift = left !== null && right !== null ? right.at_ms - left.at_ms : null;
  state.cursor = at;
  const span = Math.max(4000, 1.5 * Math.max(left?.latency_ms ?? 0, right?.latency_ms ?? 0));
  move(within({ from: at - span / 3, to: at + span }, wholeRange()));
}

/** @param {string} kind @param {boolean} [isBack] */
export function nextOf(kind, isBack = false) {
  const times = state.call?.overview.places[kind] ?? [];
  const found = nextTime(times, state.cursor ?? state.range.from - 1, isBack);
  if (found !== undefined) goTo(found);
}

export function togglePlaying() {
  if (player.isPlaying) player.pause();
  else void player.play(state.id, state.cursor ?? state.range.from);
}

/** @param {boolean} isWanted */
export function setFollowing(isWanted) {
  state.follows = isWanted;
  $("follow").setAttribute("aria-pressed", String(isWanted));
}
