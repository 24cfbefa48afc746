// The page: it begins here, and each control is bound to what it does.

import { readPlace } from "./address.js";
import { follow, loadCall, refresh, showBeside, showCalls, showTab } from "./calls.js";
import { readColours, showLegend, switchTheme } from "./frame.js";
import { bindBrush, bindKeys } from "./keys.js";
import { goTo, move, nextOf, pan, togglePlaying, zoom } from "./moving.js";
import { list, nextError, showLines } from "./records.js";
import { timeScale, within } from "./scale.js";
import { $, banner, draw, moved, showState, source, state, wholeRange, writeHash } from "./screen.js";

async function begin() {
  takePlace();
  state.colours = readColours();
  showLegend($("legend"));
  bindControls();
  try {
    await showCalls(await source.calls());
  } catch (problem) {
    banner(`The calls can't be read: ${/** @type {Error} */ (problem).message}`);
  }
  source.follow((calls) => void refresh(calls), (how) => { state.connection = how; showState(); });
  document.body.dataset.ready = "true";
}

function bindControls() {
  $("call").addEventListener("change", () => {
    Object.assign(state, { id: $("call").value, range: { from: 0, to: 1 }, seq: 0, cursor: null, detail: null, rows: [] });
    void loadCall().then(writeHash);
  });
  $("beside").addEventListener("change", () => { state.beside = $("beside").value; state.besideShift = null; void showBeside(); });
  for (const name of ["records", "diff"]) $(`tab-${name}`).addEventListener("click", () => void showTab(name));
  const buttons = { fit: () => move(wholeRange()), "zoom-in": () => zoom(0.5), "zoom-out": () => zoom(2), play: togglePlaying, follow: () => follow(!state.follows), "help-button": () => $("help").showModal(), theme: changeTheme };
  for (const [id, action] of Object.entries(buttons)) $(id).addEventListener("click", action);
  $("copy-command").addEventListener("click", () => void navigator.clipboard.writeText("eventbus demo --inspect"));
  $("filter").value = state.filter;
  $("search").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  let typing = 0;
  const filterBy = (/** @type {string} */ text) => { state.filter = text; writeHash(); list.reset(); void showLines(); };
  $("filter").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => filterBy($("filter").value), 120); });
  $("search").addEventListener("reset", () => filterBy(""));
  const timeAt = (/** @type {MouseEvent} */ event) => timeScale(state.range, $("lanes").clientWidth).ms(event.offsetX);
  $("lanes").addEventListener("click", (/** @type {MouseEvent} */ event) => goTo(timeAt(event)));
  $("lanes").addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event));
  }, { passive: false });
  bindBrush($("minimap"), (x) => timeScale(wholeRange(), $("minimap").clientWidth).ms(x), {
    range: (from, to) => move(within({ from, to }, wholeRange())), time: goTo,
  });
  bindKeys(keyActions(), $("filter"));
  new ResizeObserver(draw).observe($("lanes"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { state.colours = readColours(); draw(); });
  window.addEventListener("hashchange", () => { takePlace(); if (state.call !== null) moved(); });
}

function changeTheme() {
  switchTheme();
  state.colours = readColours();
  draw();
}

/** @returns {import("./keys.js").Keys} */
function keyActions() {
  const step = (/** @type {number} */ by) => void list.select(list.selected + by);
  return {
    j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1), "/": () => $("filter").focus(),
    e: () => void nextError(false), E: () => void nextError(true), i: () => nextOf("interruptions"), I: () => nextOf("interruptions", true),
    t: () => nextOf("turns"), T: () => nextOf("turns", true),
    w: () => zoom(0.5), s: () => zoom(2), a: () => pan(-0.25), d: () => pan(0.25), f: () => move(wholeRange()),
    " ": togglePlaying, ",": () => goTo((state.cursor ?? 0) - 100), ".": () => goTo((state.cursor ?? 0) + 100),
    l: () => follow(!state.follows), h: () => { state.handlers = !state.handlers; draw(); },
    b: () => $("beside").focus(), v: () => void showTab(state.tab === "diff" ? "records" : "diff"),
    c: () => void navigator.clipboard.writeText(JSON.stringify(state.detail?.record ?? null, null, 2)), "?": () => $("help").showModal(),
  };
}


function takePlace() {
  const { call, range, ...rest } = readPlace(location.hash);
  Object.assign(state, rest, call ? { id: call } : {}, range ? { range } : {});
}

// A request that fails is told once, wherever it was made; what is here stays.
window.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  const isGone = event.reason instanceof TypeError && state.connection !== "connected";
  banner(isGone ? "This was not fetched before the server went away." : `It can't be read: ${event.reason?.message ?? event.reason}`);
});

void begin();
