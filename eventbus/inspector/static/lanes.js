// The lanes of a call on one time axis, drawn on a canvas.

import { axis, bar, brushFor, hatched, line, triangle, waveform } from "./paint.js";
import { shownDuration } from "./scale.js";

/** @typedef {Record<string, any>} Json */
/** @typedef {import("./scale.js").Range} Range */
/** @typedef {import("./paint.js").Brush} Brush */
/** @typedef {import("./paint.js").Colours} Colours */
/** @typedef {{overview: Json, window: Json, waves: Record<string, import("./paint.js").Wave>,
 *   small: Record<string, import("./paint.js").Wave>}} Shown  A call, as far as it is here. */
/** @typedef {{name: string, short?: string, about: string, height: number, marks: string,
 *   draw: (brush: Brush, shown: Shown, height: number) => void}} Lane */

const AXIS = 22;
const MINIMAP = 36;
const GAP_MS = 800; // a pause that callers feel as one; see docs/reference/figures.md
/** The parts of a turn's latency, in their order. */
export const PARTS = /** @type {const} */ ([
  ["endpointing_ms", "endpointing"],
  ["model_ms", "model"],
  ["tool_ms", "tool"],
  ["first_audio_ms", "first audio"],
  ["dispatch_ms", "dispatch"],
]);

/**
 * Return the lanes of a call: names, heights, and the number of marks in each.
 * @param {Shown} shown
 * @param {boolean} handlersOpen
 * @returns {Lane[]}
 */
export function lanesOf({ overview, window }, handlersOpen) {
  const { totals } = overview;
  const audio = overview.has_audio ? "" : "audio not recorded";
  const isInferred = totals.turns === 0 && window.gaps.some((/** @type {any[]} */ gap) => gap[2] === "answer");
  /** @type {Lane[]} */
  const lanes = [
    { name: "User speech", height: 44, draw: userSpeech, marks: audio, about: "The caller's audio; behind it, speech as the service detected it" },
    { name: "Model audio", height: 44, draw: modelAudio, marks: audio || "played: estimated", about: "Above, when audio came; below, when it was heard; hatched, never heard" },
    { name: "Transcript", height: 38, draw: transcript, marks: overview.has_content ? "" : "content not recorded", about: "The caller above, the model below; dashed while it is not final" },
    isInferred
      ? { name: "Turns", height: 22, draw: inferredTurns, marks: "inferred", about: "The service has no turns: from the end of the caller's voice to the model's" }
      : { name: "Turns", height: 22, draw: turns, marks: `${totals.turns}${overview.is_duplex ? " inferred" : ""}`, about: `The latency, by its parts: ${PARTS.map((part) => part[1]).join(", ")}` },
    { name: "Audible gaps", height: 18, draw: audibleGaps, marks: "", about: "Silence at the caller's ear, measured in the audio; both: both sides spoke" },
    { name: "Responses", height: 18, draw: responses, marks: `${totals.responses}`, about: "Each response, with its status" },
    { name: "Tools", height: 18, draw: tools, marks: `${totals.tools}`, about: "From a tool's call to its output" },
  ];
  if (totals.delegations > 0)
    lanes.push({ name: "Delegation", height: 18, draw: delegations, marks: `${totals.delegations}`, about: "Created, worked on (darker), and spoken of" });
  if (totals.marks > 0)
    lanes.push({ name: "Marks", height: 18, draw: marks, marks: `${totals.marks}`, about: "Keys of the phone (DTMF), timeouts, cancelled tools, deleted items, the end of the stream" });
  lanes.push(
    { name: "Session", height: 18, draw: session, marks: "", about: "The connection, and when the service ends the session" },
    { name: "Errors", height: 18, draw: errors, marks: `${overview.error_count}`, about: "Failures of the service, of handlers, of the recording" },
    { name: "Event loop", height: 18, draw: eventLoop, marks: "", about: "Blocked by a sync handler; of a live call, also its measured lag" },
  );
  if (!handlersOpen) return lanes;
  for (const [name, count] of overview.handlers)
    lanes.push({ name, short: name.split(".").pop(), height: 18, draw: handlerCalls(name), marks: `${count} calls`, about: `${name}: light while an event waits, dark while it runs` });
  return lanes;
}

/**
 * Draw the axis and the lanes.
 * @param {HTMLCanvasElement} canvas
 * @param {Shown} shown
 * @param {Lane[]} lanes
 * @param {Range} range
 * @param {{cursor: number | null, colours: Colours}} more
 */
export function drawLanes(canvas, shown, lanes, range, more) {
  const height = AXIS + lanes.reduce((sum, lane) => sum + lane.height, 0);
  const brush = brushFor(canvas, height, range, more.colours);
  const { pen, width } = brush;
  axis(brush);
  let top = AXIS;
  for (const lane of lanes) {
    pen.save();
    pen.beginPath();
    pen.rect(0, top, width, lane.height);
    pen.clip();
    pen.translate(0, top);
    lane.draw(brush, shown, lane.height);
    pen.restore();
    top += lane.height;
    pen.fillStyle = more.colours.grid;
    pen.fillRect(0, top - 1, width, 1);
  }
  pen.setLineDash([4, 4]);
  for (const [at] of shown.window.interruptions) line(brush, at, more.colours.warning);
  pen.setLineDash([]);
  if (more.cursor !== null) line(brush, more.cursor, more.colours.text);
}

/**
 * Draw the whole call in small, and the range that the lanes show.
 * @param {HTMLCanvasElement} canvas
 * @param {Shown} shown
 * @param {Range} whole
 * @param {Range} range
 * @param {Colours} colours
 */
export function drawMinimap(canvas, shown, whole, range, colours) {
  const brush = brushFor(canvas, MINIMAP, whole, colours);
  const { pen, width } = brush;
  waveform(brush, shown.small.caller, 10, 9, colours.caller);
  waveform(brush, shown.small.model, 26, 9, colours.model);
  for (const [at] of shown.overview.places.errors) line(brush, at, colours.error);
  pen.fillStyle = colours.shade;
  pen.fillRect(0, 0, brush.x(range.from), MINIMAP);
  pen.fillRect(brush.x(range.to), 0, width, MINIMAP);
  pen.strokeStyle = colours.accent;
  pen.lineWidth = 2;
  pen.strokeRect(brush.x(range.from) + 1, 1, Math.max(brush.x(range.to) - brush.x(range.from) - 2, 2), MINIMAP - 2);
  pen.lineWidth = 1;
}

/** @type {Lane["draw"]} */
function userSpeech(brush, { window, waves }, height) {
  for (const [from, to] of window.speech) bar(brush, from, to, { top: 2, height: height - 5, colour: brush.colours.callerBand });
  waveform(brush, waves.caller, height / 2, height / 2 - 4, brush.colours.caller);
}

/** @type {Lane["draw"]} */
function modelAudio(brush, { window, waves }, height) {
  for (const [from, to] of window.received) bar(brush, from, to, { top: 1, height: 4, colour: brush.colours.received });
  for (const [from, to, heard] of window.model) {
    bar(brush, from, heard, { top: 7, height: height - 10, colour: brush.colours.modelBand });
    if (to - heard > 1) hatched(brush, heard, to, 7, height - 10);
  }
  waveform(brush, waves.model, height / 2 + 3, height / 2 - 6, brush.colours.model);
}

/** @type {Lane["draw"]} */
function transcript(brush, { window }) {
  for (const [from, to, side, text, , isFinal] of window.captions) {
    const top = side === "caller" ? 1 : 20;
    const colour = side === "caller" ? brush.colours.callerBar : brush.colours.modelBar;
    // The caller's is not final until the service says so; the model's is, when its audio ends.
    const isInterim = side === "caller" && !isFinal;
    const words = isInterim ? `${text}… (interim)` : text || "…";
    bar(brush, from, Math.max(to, from + 1), { top, height: 16, colour, text: words, isOutlined: isInterim });
  }
}

/** @type {Lane["draw"]} */
function turns(brush, { overview, window }, height) {
  for (const [at, , turn] of window.turns) {
    if (turn.latency_ms === null) {
      bar(brush, at, at + 1, { top: 3, height: height - 7, colour: brush.colours.warning });
      label(brush, at, height, turn.outcome);
      continue;
    }
    let begin = at;
    PARTS.forEach(([field], place) => {
      const span = turn[field] ?? 0;
      bar(brush, begin, begin + span, { top: 3, height: height - 7, colour: brush.colours[`part${place}`] });
      begin += span;
    });
    label(brush, begin, height, `${shownDuration(turn.latency_ms)}${turn.is_estimated ? " est." : ""}${overview.is_duplex ? " inferred" : ""}`);
  }
}

/** @param {Brush} brush @param {number} at @param {number} height @param {string} text */
function label(brush, at, height, text) {
  brush.pen.fillStyle = brush.colours.text;
  brush.pen.fillText(text, brush.x(at) + 5, height / 2 + 4);
}

/** @type {Lane["draw"]} */
function inferredTurns(brush, { window }, height) {
  for (const [from, to, kind] of window.gaps) {
    if (kind !== "answer") continue;
    bar(brush, from, to, { top: 3, height: height - 7, colour: brush.colours.neutralBar, isOutlined: true });
    label(brush, to, height, `${shownDuration(to - from)} inferred`);
  }
}

/** @type {Lane["draw"]} */
function audibleGaps(brush, { window }, height) {
  for (const [from, to, kind] of window.gaps) {
    const isLong = kind === "answer" && to - from > GAP_MS;
    const colour = brush.colours[kind === "overlap" ? "toolBar" : isLong ? "warningBar" : kind === "answer" ? "neutralBar" : "queued"];
    const ink = kind === "pause" ? brush.colours.text : brush.colours.onBar;
    const text = `${kind === "overlap" ? "both " : ""}${shownDuration(to - from)}`;
    bar(brush, from, to, { top: 2, height: height - 5, colour, text, ink });
  }
}

/** @type {Lane["draw"]} */
function responses(brush, { window }, height) {
  const colours = /** @type {Record<string, string>} */ ({ completed: "okBar", cancelled: "warningBar", failed: "errorBar", incomplete: "warningBar" });
  for (const [from, to, status] of window.responses) {
    const colour = brush.colours[colours[status] ?? "neutralBar"];
    bar(brush, from, to ?? brush.range.to, { top: 2, height: height - 5, colour, text: status });
  }
}

/** @type {Lane["draw"]} */
function tools(brush, { window }, height) {
  for (const [from, to, name] of window.tools) {
    const text = to === null ? `${name} (no output)` : `${name} ${shownDuration(to - from)}`;
    bar(brush, from, to ?? brush.range.to, { top: 2, height: height - 5, colour: brush.colours.toolBar, text, isOutlined: to === null });
  }
}

/** @type {Lane["draw"]} */
function delegations(brush, { window }, height) {
  for (const [at, end, target, work, spoken] of window.delegations) {
    const to = end ?? brush.range.to;
    const text = `to ${target}${spoken === null ? "" : ` ${shownDuration(spoken - at)}`}`;
    bar(brush, at, to, { top: 2, height: height - 5, colour: brush.colours.queued, text, ink: brush.colours.text });
    if (work !== null) bar(brush, work, to, { top: height - 7, height: 4, colour: brush.colours.handler });
  }
}

/** @type {Lane["draw"]} */
function marks(brush, { window }, height) {
  let right = -Infinity;
  for (const [at, , text] of window.marks) {
    line(brush, at, brush.colours.accent, height);
    if (brush.x(at) < right) continue; // the one before has the place
    label(brush, at, height - 2, text);
    right = brush.x(at) + 10 + brush.pen.measureText(text).width;
  }
}

/** @type {Lane["draw"]} */
function session(brush, { overview, window }, height) {
  let right = -Infinity;
  for (const [at, , status] of window.statuses) {
    const isBad = status === "disconnected" || status.startsWith("ends");
    line(brush, at, brush.colours[isBad ? "warning" : "muted"], height);
    if (!isBad && brush.x(at) < right) continue; // the one before has the place
    label(brush, at, height - 2, status);
    right = brush.x(at) + 80;
  }
  if (overview.expires_ms !== null && overview.expires_ms <= brush.range.to) {
    line(brush, overview.expires_ms, brush.colours.error, height);
    label(brush, overview.expires_ms, height - 2, "session ends");
  }
}

/** @type {Lane["draw"]} */
function errors(brush, { window }, height) {
  for (const [at] of window.errors) triangle(brush, at, height, brush.colours.error);
}

/** @type {Lane["draw"]} */
function eventLoop(brush, { window }, height) {
  for (const [from, to, lag] of window.lags ?? []) {
    const colour = brush.colours[lag > 50 ? "errorBar" : "warningBar"];
    bar(brush, from, to, { top: height - 7, height: 4, colour });
  }
  for (const [from, to, name] of window.blocks)
    bar(brush, from, to, { top: 2, height: height - 9, colour: brush.colours.warningBar, text: `${name} ${shownDuration(to - from)}` });
}

/** @param {string} name @returns {Lane["draw"]} */
function handlerCalls(name) {
  return (brush, { window }, height) => {
    for (const [at, queued, ran, isCrash] of window.handlers[name] ?? []) {
      if (queued > 0) bar(brush, at - queued, at, { top: 6, height: height - 12, colour: brush.colours.queued });
      bar(brush, at, at + ran, { top: 2, height: height - 5, colour: brush.colours[isCrash ? "error" : "handler"] });
    }
    for (const [running, at] of window.running)
      if (running === name) bar(brush, at, brush.range.to, { top: 2, height: height - 5, colour: brush.colours.handler, text: "running", isOutlined: true });
  };
}
