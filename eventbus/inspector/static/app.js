// The page: which call, which part of it, which line; keys, live calls and sound.

import { element, showDetail } from "./detail.js";
import { drawLanes, drawMinimap, lanesOf } from "./lanes.js";
import { LineList } from "./list.js";
import { shownDuration, shownTime, timeScale, within, zoomed } from "./scale.js";
import { openSource } from "./source.js";

/** @typedef {Record<string, any>} Json */

const COLOURS = ["text", "muted", "grid", "caller", "callerBand", "callerBar", "model", "modelBand", "modelBar", "received",
  "error", "errorBar", "warning", "warningBar", "okBar", "neutralBar", "toolBar", "handler", "queued", "shade", "onBar",
  "part0", "part1", "part2", "part3", "part4"];
const SLOW_MS = 800; // a pause that callers feel as one; see docs/reference/figures.md

const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const source = openSource();
const list = new LineList($("list"), $("spacer"), (place) => openLine(place));
const audio = $("audio");
const state = {
  /** @type {Json[]} */ calls: [], id: "", beside: "", /** @type {Json | null} */ doc: null, /** @type {Json | null} */ other: null,
  range: { from: 0, to: 1 }, /** @type {number | null} */ cursor: null, filter: "", seq: 0, follows: true, handlers: true,
  /** @type {Json | null} */ detail: null, /** @type {Json[]} */ rows: [], colours: {},
};
let allLines = /** @type {any[][]} */ ([]);

// --- data -------------------------------------------------------------------------------------

async function begin() {
  readHash();
  readColours();
  bindControls();
  try {
    await showCalls(await source.calls());
  } catch (problem) {
    banner(`The calls can't be read: ${/** @type {Error} */ (problem).message}`);
  }
  source.follow((calls) => void showCalls(calls).catch(() => connection("lost")), connection);
  document.body.dataset.ready = "true";
}

async function showCalls(/** @type {Json[]} */ calls) {
  state.calls = calls;
  $("empty").hidden = calls.length > 0;
  $("timeline").hidden = calls.length === 0;
  $("follow").hidden = !source.isLive;
  for (const box of [$("call"), $("beside")]) {
    const kept = box === $("beside") ? [element("option", { value: "" }, "none")] : [];
    box.replaceChildren(...kept, ...calls.map((call) => element("option", { value: call.id }, named(call))));
  }
  if (calls.length === 0) return;
  if (!calls.some((call) => call.id === state.id)) state.id = busiest(calls).id;
  $("call").value = state.id;
  $("beside").value = state.beside;
  await loadCall();
}

function busiest(/** @type {Json[]} */ calls) {
  return calls.reduce((best, call) => (call.records > best.records ? call : best));
}

function named(/** @type {Json} */ call) {
  const sender = call.sender === null ? "without a sender" : call.sender;
  return `${call.journal}: ${sender}, ${shownDuration(call.duration_ms)}, ${call.records} records`;
}

async function loadCall() {
  const isNew = state.doc?.id !== state.id;
  state.doc = await readable(state.id);
  state.other = state.beside === "" ? null : await readable(state.beside);
  const whole = wholeRange();
  if (isNew && state.range.to <= 1) state.range = whole;
  else if (state.follows && source.isLive) state.range = within({ from: whole.to - (state.range.to - state.range.from), to: whole.to }, whole);
  const problems = state.doc.problems.join("\n");
  if (problems !== "") banner(problems);
  showFigures();
  await loadLines();
  draw();
  if (isNew && state.seq > 0) list.selectRecord(state.seq);
  if (state.follows && source.isLive) list.toEnd();
}

async function readable(/** @type {string} */ id) {
  const doc = await source.document(id);
  const bytes = (/** @type {string} */ text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  return { ...doc, id, waves: { caller: bytes(doc.peaks.caller), model: bytes(doc.peaks.model) } };
}

async function loadLines() {
  try {
    allLines = (await source.lines(state.id, state.filter)).lines;
    $("filter").setCustomValidity("");
    $("filter").setAttribute("aria-invalid", "false");
    $("count").textContent = `${allLines.length} lines`;
  } catch (problem) {
    $("filter").setAttribute("aria-invalid", "true");
    $("count").textContent = /** @type {Error} */ (problem).message;
    return;
  }
  list.show(allLines);
  if (allLines.length === 0 && state.filter !== "")
    $("spacer").replaceChildren(element("p", { class: "none" }, "No record matches this filter. Clear it to see all."));
}

async function openLine(/** @type {number} */ place) {
  const line = list.lines[place];
  state.seq = line[0];
  state.cursor = line[2];
  // A long line stands for many frames, and other records lie between them.
  state.rows = [];
  await openRecord(line[0]);
  const rows = await source.rows(state.id, line[0], Math.min(line[1], line[0] + 1999));
  if (list.selected !== place) return; // another one was chosen meanwhile
  state.rows = rows;
  showRecord();
}

async function openRecord(/** @type {number} */ seq) {
  state.seq = seq;
  const detail = await source.detail(state.id, seq);
  if (state.seq !== seq) return;
  state.detail = detail;
  showRecord();
  writeHash();
  draw();
}

function showRecord() {
  showDetail($("detail"), state.rows, state.detail, {
    open: (wanted) => void openRecord(wanted),
    play: (ms) => playFrom(ms),
    copy: (text) => void navigator.clipboard.writeText(text),
  });
}

// --- what is seen -----------------------------------------------------------------------------

function wholeRange() {
  const doc = /** @type {Json} */ (state.doc);
  const ends = [doc.start_ms + doc.duration_ms, ...doc.model.map((/** @type {number[]} */ each) => each[1])];
  return { from: doc.start_ms, to: Math.max(...ends, doc.start_ms + 1) };
}

function draw() {
  if (state.doc === null) return;
  const lanes = lanesOf(state.doc, state.handlers);
  nameLanes($("lane-names"), lanes);
  const summary = `${state.doc.turns.length} turns, ${state.doc.errors.length} errors, from ${shownTime(state.range.from)} to ${shownTime(state.range.to)}`;
  $("lanes").setAttribute("aria-label", `Lanes of the call: ${summary}; the list of records has the same marks as text`);
  drawLanes($("lanes"), state.doc, lanes, state.range, { cursor: state.cursor, colours: state.colours });
  drawMinimap($("minimap"), state.doc, wholeRange(), state.range, state.colours);
  $("other").hidden = state.other === null;
  if (state.other !== null) {
    const beside = lanesOf(state.other, false);
    nameLanes($("other-names"), beside);
    const shift = state.other.start_ms - state.doc.start_ms;
    const range = { from: state.range.from + shift, to: state.range.to + shift };
    drawLanes($("other-lanes"), state.other, beside, range, { cursor: null, colours: state.colours });
  }
}

function nameLanes(/** @type {HTMLElement} */ box, /** @type {Json[]} */ lanes) {
  box.replaceChildren(...lanes.map((lane) => {
    const row = element("li", { title: lane.name }, lane.short ?? lane.name, " ", element("small", {}, lane.marks));
    row.style.height = `${lane.height}px`;
    return row;
  }));
}

function showFigures() {
  const doc = /** @type {Json} */ (state.doc);
  const cards = Object.entries(doc.figures).map(([name, figure]) => {
    const about = `${name}: ${figure.definition}. ${figure.count} values${figure.estimated ? `, ${figure.estimated} estimated` : ""}.`;
    const value = `${shownDuration(figure.p50)} / ${shownDuration(figure.p95)} / ${shownDuration(figure.max)}`;
    const isSlow = name === "turn_latency" && figure.p95 > SLOW_MS;
    return card(`${name} p50/p95/max${figure.estimated ? " (est.)" : ""}`, value, about, isSlow);
  });
  const counts = Object.entries(doc.counts).filter(([, count]) => count.value > 0);
  cards.push(...counts.map(([name, count]) => card(name, String(count.value), `${name}: ${count.definition}.`, ["crashes", "failures", "drops"].includes(name))));
  $("figures").replaceChildren(...cards);
}

function card(/** @type {string} */ name, /** @type {string} */ value, /** @type {string} */ about, isBad = false) {
  return element("div", { title: about }, element("dt", {}, name), element("dd", { class: isBad ? "bad" : "" }, value));
}

function banner(/** @type {string} */ text) {
  $("banner").textContent = text;
  $("banner").hidden = text === "";
}

function connection(/** @type {string} */ how) {
  const words = { connected: source.isLive ? "live" : "recorded", lost: "not connected: trying again, what is here stays", ended: "the program has ended: what is here stays" };
  $("state").textContent = words[/** @type {keyof typeof words} */ (how)];
  $("state").dataset.state = how;
}

function readColours() {
  const probe = element("span");
  document.body.append(probe);
  for (const name of COLOURS) {
    probe.style.color = `var(--${name})`; // a custom property by itself would say light-dark(…)
    /** @type {Json} */ (state.colours)[name] = getComputedStyle(probe).color;
  }
  probe.remove();
}

// --- moving about -----------------------------------------------------------------------------

function move(/** @type {{from: number, to: number}} */ range) {
  state.range = range;
  state.follows = false;
  $("follow").setAttribute("aria-pressed", "false");
  writeHash();
  draw();
}

function zoom(/** @type {number} */ factor, /** @type {number | null} */ at = state.cursor) {
  const { from, to } = state.range;
  const middle = at !== null && at >= from && at <= to ? at : (from + to) / 2;
  move(zoomed(state.range, factor, middle, wholeRange()));
}

function pan(/** @type {number} */ share) {
  const by = (state.range.to - state.range.from) * share;
  move(within({ from: state.range.from + by, to: state.range.to + by }, wholeRange()));
}

function goTo(/** @type {number} */ ms) {
  state.cursor = ms;
  const span = state.range.to - state.range.from;
  if (ms < state.range.from || ms > state.range.to) move(within({ from: ms - span / 2, to: ms + span / 2 }, wholeRange()));
  draw();
}

function next(/** @type {number[]} */ times, isBack = false) {
  const at = state.cursor ?? state.range.from - 1;
  const sorted = [...times].sort((a, b) => a - b);
  const found = isBack ? sorted.filter((ms) => ms < at - 1e-6).pop() : sorted.find((ms) => ms > at + 1e-6);
  if (found !== undefined) goTo(found);
}

function nextError(/** @type {boolean} */ isBack) {
  const errors = /** @type {Json} */ (state.doc).errors;
  const places = errors.map((/** @type {any[]} */ each) => each[1]).filter((/** @type {number} */ seq) => (isBack ? seq < state.seq : seq > state.seq));
  const seq = isBack ? places.pop() : places[0];
  if (seq === undefined) return;
  goTo(errors.find((/** @type {any[]} */ each) => each[1] === seq)[0]);
  list.selectRecord(seq);
}

async function playFrom(/** @type {number} */ ms) {
  const doc = /** @type {Json} */ (state.doc);
  const address = doc.has_audio ? source.audio(state.id, doc.last_seq) : "";
  if (address === "") return banner("No audio was recorded in this call.");
  if (audio.dataset.address !== address) {
    audio.src = address;
    audio.dataset.address = address;
    await new Promise((resolve) => { audio.onloadedmetadata = resolve; audio.onerror = resolve; audio.load(); });
  }
  audio.currentTime = ms / 1000;
  try {
    await audio.play();
  } catch (problem) {
    banner(`It can't be played: ${/** @type {Error} */ (problem).message}`);
  }
}

function togglePlaying() {
  if (!audio.paused) audio.pause();
  else void playFrom(state.cursor ?? state.range.from);
}

function setPlaying() {
  $("play").setAttribute("aria-pressed", String(!audio.paused));
  $("play").textContent = audio.paused ? "Play" : "Pause";
  if (audio.paused) return;
  const step = () => {
    goTo(audio.currentTime * 1000);
    if (!audio.paused) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

function bindControls() {
  $("call").addEventListener("change", () => { state.id = $("call").value; state.range = { from: 0, to: 1 }; state.seq = 0; void loadCall().then(writeHash); });
  $("beside").addEventListener("change", () => { state.beside = $("beside").value; void loadCall().then(writeHash); });
  $("fit").addEventListener("click", () => move(wholeRange()));
  $("zoom-in").addEventListener("click", () => zoom(0.5));
  $("zoom-out").addEventListener("click", () => zoom(2));
  $("play").addEventListener("click", togglePlaying);
  $("follow").addEventListener("click", followLive);
  $("help-button").addEventListener("click", () => $("help").showModal());
  $("theme").addEventListener("click", () => {
    const isDark = getComputedStyle(document.documentElement).colorScheme === "dark" || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = isDark ? "light" : "dark";
    readColours();
    draw();
  });
  $("filter").value = state.filter;
  $("search").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  let waiting = 0;
  const filterBy = (/** @type {string} */ text) => { state.filter = text; writeHash(); void loadLines(); };
  $("filter").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => filterBy($("filter").value), 120); });
  $("search").addEventListener("reset", () => filterBy(""));
  for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, setPlaying);
  $("lanes").addEventListener("click", (/** @type {MouseEvent} */ event) => goTo(timeScale(state.range, $("lanes").clientWidth).ms(event.offsetX)));
  $("lanes").addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, timeScale(state.range, $("lanes").clientWidth).ms(event.offsetX));
  }, { passive: false });
  $("minimap").addEventListener("pointerdown", brushMinimap);
  document.addEventListener("keydown", pressed);
  new ResizeObserver(draw).observe($("lanes"));
  window.addEventListener("hashchange", () => { readHash(); draw(); });
}

function brushMinimap(/** @type {PointerEvent} */ down) {
  const at = (/** @type {PointerEvent} */ event) => timeScale(wholeRange(), $("minimap").clientWidth).ms(event.offsetX);
  const first = at(down);
  const moved = (/** @type {PointerEvent} */ event) => {
    const other = at(event);
    if (Math.abs(other - first) > 5) move(within({ from: Math.min(first, other), to: Math.max(first, other) }, wholeRange()));
  };
  $("minimap").setPointerCapture(down.pointerId);
  $("minimap").addEventListener("pointermove", moved);
  $("minimap").addEventListener("pointerup", () => {
    $("minimap").removeEventListener("pointermove", moved);
    if (first < state.range.from || first > state.range.to) goTo(first);
  }, { once: true });
}

function followLive() {
  state.follows = !state.follows;
  $("follow").setAttribute("aria-pressed", String(state.follows));
  if (state.follows) void loadCall();
}

/** @type {Record<string, () => void>} */
const KEYS = {
  j: () => list.select(list.selected + 1), ArrowDown: () => list.select(list.selected + 1),
  k: () => list.select(list.selected - 1), ArrowUp: () => list.select(list.selected - 1),
  "/": () => $("filter").focus(),
  e: () => nextError(false), E: () => nextError(true),
  i: () => next(/** @type {Json} */ (state.doc).interruptions.map((/** @type {Json} */ cut) => cut.at_ms)),
  t: () => next(/** @type {Json} */ (state.doc).turns.map((/** @type {Json} */ turn) => turn.at_ms)),
  T: () => next(/** @type {Json} */ (state.doc).turns.map((/** @type {Json} */ turn) => turn.at_ms), true),
  w: () => zoom(0.5), s: () => zoom(2), a: () => pan(-0.25), d: () => pan(0.25), f: () => move(wholeRange()),
  " ": togglePlaying, ",": () => goTo((state.cursor ?? 0) - 100), ".": () => goTo((state.cursor ?? 0) + 100),
  l: followLive, h: () => { state.handlers = !state.handlers; draw(); },
  c: () => void navigator.clipboard.writeText(JSON.stringify(state.detail?.record ?? null, null, 2)),
  "?": () => $("help").showModal(),
};

function pressed(/** @type {KeyboardEvent} */ event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === "Escape" && target === $("filter")) return target.blur();
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, dialog")) return;
  if (event.key === " " && target.closest("button")) return;
  const action = KEYS[event.key];
  if (action === undefined || state.doc === null) return;
  event.preventDefault();
  action();
}

// --- the address: a view that can be sent to somebody -------------------------------------------

function readHash() {
  const given = new URLSearchParams(location.hash.slice(1));
  state.id = given.get("call") ?? state.id;
  state.beside = given.get("beside") ?? state.beside;
  state.filter = given.get("filter") ?? state.filter;
  state.seq = Number(given.get("seq") ?? state.seq);
  const from = Number(given.get("from"));
  const to = Number(given.get("to"));
  if (to > from) state.range = { from, to };
}

function writeHash() {
  const { from, to } = state.range;
  const kept = new URLSearchParams({ call: state.id, from: from.toFixed(1), to: to.toFixed(1) });
  if (state.beside !== "") kept.set("beside", state.beside);
  if (state.filter !== "") kept.set("filter", state.filter);
  if (state.seq > 0) kept.set("seq", String(state.seq));
  history.replaceState(null, "", `#${kept}`);
}

void begin();
