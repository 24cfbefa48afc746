// The lanes of a call on one time axis, drawn on a canvas.

import { shownDuration, shownTime, ticks, timeScale } from "./scale.js";

/** @typedef {Record<string, any>} Json */
/** @typedef {import("./scale.js").Range} Range */

const AXIS = 22;
const PARTS = [
  ["endpointing_ms", "endpointing"],
  ["model_ms", "model"],
  ["tool_ms", "tool"],
  ["first_audio_ms", "first audio"],
  ["dispatch_ms", "dispatch"],
];

/**
 * Return the lanes of a call: names, heights, and the number of marks in each.
 * @param {Json} doc
 * @param {boolean} handlersOpen
 */
export function lanesOf(doc, handlersOpen) {
  const handlers = doc.handlers.map((/** @type {Json} */ handler) => ({
    name: handler.name, short: handler.name.split(".").pop(), height: 18, draw: handlerCalls(handler),
    marks: `${handler.count} calls`,
  }));
  return [
    { name: "User speech", height: 46, draw: userSpeech, marks: doc.has_audio ? "" : "audio not recorded" },
    { name: "Model audio", height: 46, draw: modelAudio, marks: doc.has_audio ? "played: estimated" : "audio not recorded" },
    { name: "Transcript", height: 38, draw: transcript, marks: doc.has_content ? "" : "content not recorded" },
    { name: "Turns", height: 24, draw: turns, marks: `${doc.turns.length}` },
    { name: "Responses", height: 20, draw: responses, marks: `${doc.responses.length}` },
    { name: "Tools", height: 20, draw: tools, marks: `${doc.tools.length}` },
    { name: "Errors", height: 20, draw: errors, marks: `${doc.errors.length}` },
    ...(handlersOpen ? handlers : []),
  ];
}

/**
 * Draw the axis and the lanes.
 * @param {HTMLCanvasElement} canvas
 * @param {Json} doc
 * @param {ReturnType<typeof lanesOf>} lanes
 * @param {Range} range
 * @param {{cursor: number | null, colours: Record<string, string>}} more
 */
export function drawLanes(canvas, doc, lanes, range, more) {
  const width = canvas.clientWidth;
  const height = AXIS + lanes.reduce((sum, lane) => sum + lane.height, 0);
  const pen = fitted(canvas, width, height);
  const brush = { pen, width, range, ...timeScale(range, width), colours: more.colours };
  pen.font = "11px system-ui, sans-serif";
  axis(brush, height);
  let top = AXIS;
  for (const lane of lanes) {
    pen.save();
    pen.beginPath();
    pen.rect(0, top, width, lane.height);
    pen.clip();
    pen.translate(0, top);
    lane.draw(brush, doc, lane.height);
    pen.restore();
    top += lane.height;
    pen.fillStyle = more.colours.grid;
    pen.fillRect(0, top - 1, width, 1);
  }
  pen.setLineDash([4, 4]);
  for (const cut of doc.interruptions) line(brush, cut.at_ms, height, more.colours.warning);
  pen.setLineDash([]);
  if (more.cursor !== null) line(brush, more.cursor, height, more.colours.text);
}

/**
 * Draw the whole call in small, and the range that the lanes show.
 * @param {HTMLCanvasElement} canvas
 * @param {Json} doc
 * @param {Range} whole
 * @param {Range} range
 * @param {Record<string, string>} colours
 */
export function drawMinimap(canvas, doc, whole, range, colours) {
  const width = canvas.clientWidth;
  const pen = fitted(canvas, width, 34);
  const brush = { pen, width, range: whole, ...timeScale(whole, width), colours };
  wave(brush, doc, "caller", 10, 9, colours.caller);
  wave(brush, doc, "model", 25, 8, colours.model);
  for (const [at] of doc.errors) line(brush, at, 34, colours.error);
  pen.fillStyle = colours.shade;
  pen.fillRect(0, 0, brush.x(range.from), 34);
  pen.fillRect(brush.x(range.to), 0, width, 34);
  pen.strokeStyle = colours.text;
  pen.strokeRect(brush.x(range.from) + 0.5, 0.5, Math.max(brush.x(range.to) - brush.x(range.from) - 1, 2), 33);
}

/** @param {HTMLCanvasElement} canvas @param {number} width @param {number} height */
function fitted(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

function axis(brush, height) {
  const { pen, colours } = brush;
  for (const at of ticks(brush.range, brush.width)) {
    pen.fillStyle = colours.grid;
    pen.fillRect(brush.x(at), 0, 1, height);
    pen.fillStyle = colours.muted;
    pen.fillText(shownTime(at), brush.x(at) + 4, 14);
  }
}

function line(brush, at, height, colour) {
  brush.pen.strokeStyle = colour;
  brush.pen.beginPath();
  brush.pen.moveTo(Math.round(brush.x(at)) + 0.5, 0);
  brush.pen.lineTo(Math.round(brush.x(at)) + 0.5, height);
  brush.pen.stroke();
}

function bar(brush, from, to, top, height, colour, text = "") {
  const left = brush.x(from);
  const width = Math.max(brush.x(to) - left, 1.5);
  if (left > brush.width || left + width < 0) return;
  brush.pen.fillStyle = colour;
  brush.pen.fillRect(left, top, width, height);
  if (text === "" || width < 24) return;
  const { pen } = brush;
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
  pen.fillStyle = brush.colours.onBar;
  pen.fillText(text, Math.max(left, 0) + 4, top + height / 2 + 4);
  pen.restore();
}

function wave(brush, doc, side, middle, reach, colour) {
  const bytes = doc.waves[side];
  const { pen } = brush;
  pen.fillStyle = colour;
  const step = doc.peaks.ms;
  const first = Math.max(0, Math.floor(brush.range.from / step));
  const last = Math.min(bytes.length, Math.ceil(brush.range.to / step));
  const perPixel = Math.max(1, Math.floor((last - first) / (brush.width * 2)));
  for (let place = first; place < last; place += perPixel) {
    let peak = 0;
    for (let i = place; i < Math.min(place + perPixel, last); i += 1) peak = Math.max(peak, bytes[i]);
    if (peak === 0) continue;
    const size = Math.max((peak / 255) * reach, 0.5);
    const left = brush.x(place * step);
    pen.fillRect(left, middle - size, Math.max(brush.x((place + perPixel) * step) - left, 1), 2 * size);
  }
}

function userSpeech(brush, doc, height) {
  for (const [lane, from, to] of doc.spans)
    if (lane === "caller") bar(brush, from, to, 2, height - 5, brush.colours.callerBand);
  wave(brush, doc, "caller", height / 2, height / 2 - 4, brush.colours.caller);
}

function modelAudio(brush, doc, height) {
  for (const [from, to] of doc.received) bar(brush, from, to, 1, 4, brush.colours.received);
  for (const [from, heard, to] of doc.model) {
    bar(brush, from, heard, 7, height - 10, brush.colours.modelBand);
    if (to - heard > 1) hatched(brush, heard, to, 7, height - 10);
  }
  wave(brush, doc, "model", height / 2 + 3, height / 2 - 6, brush.colours.model);
}

function hatched(brush, from, to, top, height) {
  const { pen } = brush;
  const left = brush.x(from);
  const right = brush.x(to);
  if (left > brush.width || right < 0) return;
  pen.save();
  pen.beginPath();
  pen.rect(left, top, right - left, height);
  pen.clip();
  pen.strokeStyle = brush.colours.warning;
  pen.beginPath();
  for (let x = Math.max(left, -height) - height; x < Math.min(right, brush.width); x += 6) {
    pen.moveTo(x, top + height);
    pen.lineTo(x + height, top);
  }
  pen.stroke();
  pen.restore();
}

function transcript(brush, doc) {
  for (const [side, from, to, text] of doc.captions) {
    const top = side === "caller" ? 1 : 20;
    const colour = side === "caller" ? brush.colours.callerBar : brush.colours.modelBar;
    bar(brush, from, Math.max(to, from + 1), top, 16, colour, text || "…");
  }
}

function turns(brush, doc, height) {
  for (const turn of doc.turns) {
    if (turn.latency_ms === null) {
      bar(brush, turn.at_ms, turn.at_ms + 1, 3, height - 7, brush.colours.warning, turn.outcome);
      continue;
    }
    let at = turn.at_ms;
    PARTS.forEach(([field], place) => {
      const span = turn[field] ?? 0;
      bar(brush, at, at + span, 3, height - 7, brush.colours[`part${place}`]);
      at += span;
    });
    brush.pen.fillStyle = brush.colours.text;
    const label = `${shownDuration(turn.latency_ms)}${turn.is_estimated ? " est." : ""}`;
    brush.pen.fillText(label, brush.x(at) + 4, height / 2 + 4);
  }
}

function responses(brush, doc, height) {
  for (const [, from, to, status] of doc.responses) {
    const colour = { completed: "ok", cancelled: "warning", failed: "error" }[status] ?? "neutral";
    bar(brush, from, to ?? brush.range.to, 2, height - 5, brush.colours[`${colour}Bar`], status);
  }
}

function tools(brush, doc, height) {
  for (const tool of doc.tools) {
    const end = tool.at_ms + (tool.time_ms ?? 0);
    bar(brush, tool.at_ms, end, 2, height - 5, brush.colours.toolBar, `${tool.name} ${shownDuration(tool.time_ms)}`);
  }
}

function errors(brush, doc, height) {
  const { pen } = brush;
  pen.fillStyle = brush.colours.error;
  for (const [at] of doc.errors) {
    const x = brush.x(at);
    pen.beginPath();
    pen.moveTo(x, 3);
    pen.lineTo(x + 6, height - 4);
    pen.lineTo(x - 6, height - 4);
    pen.fill();
  }
}

/** @param {Json} handler */
function handlerCalls(handler) {
  return (brush, _doc, height) => {
    for (const [at, queued, ran, state] of handler.calls) {
      if (queued > 0) bar(brush, at - queued, at, 6, height - 12, brush.colours.queued);
      bar(brush, at, at + ran, 2, height - 5, state === "crashed" ? brush.colours.error : brush.colours.handler);
    }
  };
}
