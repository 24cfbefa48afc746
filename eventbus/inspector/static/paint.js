// What lanes are painted with: bars, waveforms, the axis. All take times, and know the screen.

import { shownTime, ticks, timeScale } from "./scale.js";

/** @typedef {import("./scale.js").Range} Range */
/** @typedef {Record<string, string>} Colours */
/** @typedef {{pen: CanvasRenderingContext2D, width: number, height: number, range: Range, colours: Colours,
 *   x: (ms: number) => number, ms: (x: number) => number}} Brush */
/** @typedef {{ms: number, first: number, bytes: Uint8Array}} Wave */

/** @param {HTMLCanvasElement} canvas @param {number} height @param {Range} range @param {Colours} colours @returns {Brush} */
export function brushFor(canvas, height, range, colours) {
  const width = canvas.clientWidth;
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = '11px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
  return { pen, width, height, range, colours, ...timeScale(range, width) };
}

/** @param {Brush} brush */
export function axis(brush) {
  const { pen, colours } = brush;
  for (const at of ticks(brush.range, brush.width)) {
    pen.fillStyle = colours.grid;
    pen.fillRect(brush.x(at), 0, 1, brush.height);
    pen.fillStyle = colours.muted;
    pen.fillText(shownTime(at), brush.x(at) + 4, 14);
  }
}

/** @param {Brush} brush @param {number} at @param {string} colour @param {number} [height] */
export function line(brush, at, colour, height = brush.height) {
  const x = Math.round(brush.x(at)) + 0.5;
  if (x < 0 || x > brush.width) return;
  brush.pen.strokeStyle = colour;
  brush.pen.beginPath();
  brush.pen.moveTo(x, 0);
  brush.pen.lineTo(x, height);
  brush.pen.stroke();
}

/**
 * Paint a bar, with a text if there is room for it.
 * @param {Brush} brush
 * @param {number} from
 * @param {number} to
 * @param {{top: number, height: number, colour: string, text?: string, ink?: string, isOutlined?: boolean}} look
 */
export function bar(brush, from, to, look) {
  const { pen } = brush;
  const left = Math.max(brush.x(from), -2);
  const right = Math.min(Math.max(brush.x(to), left + 1.5), brush.width + 2);
  if (left > brush.width || right < 0) return;
  const { top, height, colour, text = "", isOutlined = false } = look;
  if (isOutlined) {
    pen.strokeStyle = colour;
    pen.setLineDash([3, 2]);
    pen.strokeRect(left + 0.5, top + 0.5, Math.max(right - left - 1, 1), height - 1);
    pen.setLineDash([]);
  } else {
    pen.fillStyle = colour;
    pen.fillRect(left, top, right - left, height);
  }
  if (text === "" || right - left < 24) return;
  pen.save();
  pen.beginPath();
  pen.rect(left, top, right - left, height);
  pen.clip();
  pen.fillStyle = look.ink ?? (isOutlined ? brush.colours.text : brush.colours.onBar);
  pen.fillText(text, Math.max(left, 0) + 4, top + height / 2 + 4);
  pen.restore();
}

/**
 * Paint a waveform around a middle line.
 * @param {Brush} brush
 * @param {Wave} wave
 * @param {number} middle
 * @param {number} reach
 * @param {string} colour
 */
export function waveform(brush, wave, middle, reach, colour) {
  const { pen, range } = brush;
  const { bytes, ms: step, first: begin } = wave;
  pen.fillStyle = colour;
  const first = Math.max(0, Math.floor((range.from - begin) / step));
  const last = Math.min(bytes.length, Math.ceil((range.to - begin) / step));
  const group = Math.max(1, Math.floor((last - first) / (brush.width * 2)));
  for (let place = first; place < last; place += group) {
    let peak = 0;
    for (let i = place; i < Math.min(place + group, last); i += 1) peak = Math.max(peak, bytes[i]);
    if (peak === 0) continue;
    const size = Math.max((peak / 255) * reach, 0.5);
    const left = brush.x(begin + place * step);
    pen.fillRect(left, middle - size, Math.max(brush.x(begin + (place + group) * step) - left, 1), 2 * size);
  }
}

/** @param {Brush} brush @param {number} from @param {number} to @param {number} top @param {number} height */
export function hatched(brush, from, to, top, height) {
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

/** @param {Brush} brush @param {number} at @param {number} height @param {string} colour */
export function triangle(brush, at, height, colour) {
  const { pen } = brush;
  const x = brush.x(at);
  pen.fillStyle = colour;
  pen.beginPath();
  pen.moveTo(x, 3);
  pen.lineTo(x + 6, height - 4);
  pen.lineTo(x - 6, height - 4);
  pen.fill();
}
