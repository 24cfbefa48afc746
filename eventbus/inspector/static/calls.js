// The calls: which one is shown, which one beside it, and how a live one grows.

import { showDifferences } from "./compare.js";
import { element } from "./detail.js";
import { noticesOf, showFigures } from "./frame.js";
import { goToTurn, setFollowing } from "./moving.js";
import { list, openSeq, showLines } from "./records.js";
import { within } from "./scale.js";
import { $, banner, draw, loadWindows, moved, named, showState, shownOf, source, state, wholeRange, writeHash } from "./screen.js";

/** @typedef {Record<string, any>} Json */

const READING_MS = 1500; // between looks at a journal that is being read

let isRefreshing = false;
let refreshed = { at: 0, progress: 0 };
/** @type {Json[] | null} */ let waiting = null;

/** Show the calls as they are now; while that goes on, only the latest state waits. @param {Json[]} calls */
export async function refresh(calls) {
  waiting = calls;
  if (isRefreshing) return;
  isRefreshing = true;
  try {
    for (let next = /** @type {Json[] | null} */ (calls); next !== null; next = waiting) {
      waiting = null;
      const { progress } = next.find((call) => call.id === state.id) ?? { progress: 1 };
      if (state.call !== null && progress < 1 && isSoonForAll(progress)) {
        state.calls = next;
        showState();
        continue;
      }
      await showCalls(next);
      refreshed = { at: performance.now(), progress };
    }
  } catch { /* the stream says that the connection is lost, and its next message asks again */ } finally {
    isRefreshing = false;
  }
}

/** Return whether a journal was just looked at, or will have been read in a moment. @param {number} progress */
function isSoonForAll(progress) {
  const passed = performance.now() - refreshed.at;
  const left = ((1 - progress) * passed) / Math.max(progress - refreshed.progress, 1e-6);
  return passed < READING_MS || left < READING_MS;
}

/** @param {Json[]} calls */
export async function showCalls(calls) {
  state.calls = calls;
  $("empty").hidden = calls.length > 0;
  $("timeline").hidden = $("lower").hidden = calls.length === 0;
  $("follow").hidden = !source.isLive;
  for (const box of [$("call"), $("beside")]) {
    const kept = box === $("beside") ? [element("option", { value: "" }, "none")] : [];
    box.replaceChildren(...kept, ...calls.map((call) => element("option", { value: call.id }, named(call))));
  }
  $("compare").hidden = calls.length < 2;
  if (calls.length === 0) return showState();
  const id = idOf(calls, state.id, true);
  if (id === "") return showState(); // of a journal that is still being read
  state.id = id;
  $("call").value = id;
  await loadCall();
  const beside = idOf(calls, state.beside, false);
  $("beside").value = beside;
  if (beside === "" || state.other !== null) return;
  state.beside = beside;
  await showBeside();
}

/**
 * Return the id of the call that is wanted; empty while it isn't known.
 *
 * A number alone is a journal, and means its longest call.
 * @param {Json[]} calls
 * @param {string} wanted
 * @param {boolean} isNeeded
 */
function idOf(calls, wanted, isNeeded) {
  if (calls.some((call) => call.id === wanted)) return wanted;
  const isJournal = /^\d+$/.test(wanted);
  if (!isJournal && !isNeeded) return "";
  const found = isJournal ? calls.filter((call) => call.id.startsWith(`${wanted}-`)) : calls;
  if (found.length === 0 || (isJournal && found.some((call) => call.progress < 1))) return "";
  return found.reduce((best, call) => (call.records > best.records ? call : best)).id;
}

export async function loadCall() {
  const before = state.call?.overview;
  const isNew = before?.id !== state.id;
  const overview = { id: state.id, ...(await source.overview(state.id)) };
  if (isNew) {
    list.reset();
    state.problem = "";
  }
  const isMoved = isNew || before?.last_seq !== overview.last_seq;
  const lines = isMoved ? showLines() : null;
  const known = isNew ? { from: 0, to: 0 } : wholeRange();
  const wasWhole = state.range.to <= 1 || (state.range.from <= known.from && state.range.to >= known.to);
  state.call = await shownOf(overview, isNew ? null : state.call);
  const whole = wholeRange();
  if (wasWhole && (isNew || state.follows)) state.range = whole;
  else if (!isNew && state.follows && source.isLive) state.range = within({ from: whole.to - (state.range.to - state.range.from), to: whole.to }, whole);
  if (isMoved) await loadWindows(!isNew);
  banner([noticesOf(overview), state.problem].filter(Boolean).join(" "));
  showFigures($("figures"), overview);
  await lines;
  showState();
  draw();
  if (isNew && state.tab === "diff") void showTab("diff");
  if (isNew && state.seq > 0) await openSeq(state.seq);
  if (state.follows && source.isLive) list.toEnd();
}

/** @param {string} tab */
export async function showTab(tab) {
  state.tab = tab;
  for (const name of ["records", "diff"]) {
    $(`tab-${name}`).setAttribute("aria-selected", String(name === tab));
    $(name).hidden = name !== tab;
  }
  writeHash();
  if (tab !== "diff" || state.other === null) return;
  const names = /** @type {[string, string]} */ ([state.id, state.beside].map((id) => named(state.calls.find((call) => call.id === id) ?? {})));
  try {
    const found = await source.difference(state.id, state.beside);
    showDifferences($("diff"), found, names, { turn: goToTurn, record: (seq) => void openSeq(seq).then(() => showTab("records")) });
  } catch (problem) {
    $("diff").replaceChildren(element("p", {}, /** @type {Error} */ (problem).message));
  }
}

export async function showBeside() {
  state.other = state.beside === "" ? null : await shownOf({ id: state.beside, ...(await source.overview(state.beside)) }, null);
  $("tab-diff").hidden = state.other === null;
  state.handlers = state.other === null; // so that both calls are in sight
  await showTab(state.other === null ? "records" : "diff");
  moved();
}

/** Keep the end of a live call in sight, or no longer. @param {boolean} isWanted */
export function follow(isWanted) {
  setFollowing(isWanted);
  if (!isWanted) return;
  state.range = wholeRange();
  list.toEnd();
  moved();
}
