// Time and its place on the screen: pure functions, without a document.

/** @typedef {{from: number, to: number}} Range  Milliseconds since the journal's beginning. */

/**
 * Return the functions between times and places of a lane that is `width` pixels wide.
 * @param {Range} range
 * @param {number} width
 */
export function timeScale(range, width) {
  const span = Math.max(range.to - range.from, 1e-6);
  return {
    x: (/** @type {number} */ ms) => ((ms - range.from) / span) * width,
    ms: (/** @type {number} */ x) => range.from + (x / width) * span,
  };
}

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5];

/**
 * Return the times of the axis's marks: round numbers, at least `gap` pixels apart.
 * @param {Range} range
 * @param {number} width
 * @param {number} gap
 */
export function ticks(range, width, gap = 90) {
  const least = ((range.to - range.from) * gap) / Math.max(width, 1);
  const step = STEPS.find((each) => each >= least) ?? STEPS[STEPS.length - 1];
  const marks = [];
  for (let at = Math.ceil(range.from / step) * step; at <= range.to; at += step) marks.push(at);
  return marks;
}

/**
 * Return a range zoomed by `factor` (below 1: closer) around a time, within `whole`.
 * @param {Range} range
 * @param {number} factor
 * @param {number} at
 * @param {Range} whole
 */
export function zoomed(range, factor, at, whole) {
  const span = Math.min(Math.max((range.to - range.from) * factor, 5), whole.to - whole.from);
  const share = (at - range.from) / Math.max(range.to - range.from, 1e-6);
  return within({ from: at - share * span, to: at + (1 - share) * span }, whole);
}

/**
 * Return a range moved into `whole`, as long as it fits.
 * @param {Range} range
 * @param {Range} whole
 */
export function within(range, whole) {
  const span = Math.min(range.to - range.from, whole.to - whole.from);
  const from = Math.min(Math.max(range.from, whole.from), whole.to - span);
  return { from, to: from + span };
}

/**
 * Return a time as a reader expects it: `1:02.345`, `2.3 s` or `45 ms`.
 * @param {number} ms
 */
export function shownTime(ms) {
  const minutes = Math.floor(ms / 60000);
  const seconds = (ms - minutes * 60000) / 1000;
  return `${minutes}:${seconds.toFixed(3).padStart(6, "0")}`;
}

/**
 * Return a duration as a reader expects it.
 * @param {number | null | undefined} ms
 */
export function shownDuration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms >= 10000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(2)} ms`;
}
