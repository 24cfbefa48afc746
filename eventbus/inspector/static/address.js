// The address holds the view, so that it can be sent to somebody. Pure functions.

/**
 * @typedef {object} Place
 * @property {string} [call]
 * @property {string} [beside]
 * @property {string} [filter]
 * @property {number} [seq]
 * @property {{from: number, to: number}} [range]
 * @property {string} [tab]
 */

/** @param {string} hash @returns {Place} */
export function readPlace(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  /** @type {Place} */
  const place = {};
  for (const name of /** @type {const} */ (["call", "beside", "filter", "tab"])) {
    const value = given.get(name);
    if (value !== null) place[name] = value;
  }
  const [seq, from, to] = ["seq", "from", "to"].map((name) => Number(given.get(name) ?? NaN));
  if (Number.isInteger(seq) && seq > 0) place.seq = seq;
  if (to > from) place.range = { from, to };
  return place;
}

/** @param {Place} place */
export function writePlace(place) {
  const kept = new URLSearchParams();
  if (place.call) kept.set("call", place.call);
  if (place.range) {
    kept.set("from", place.range.from.toFixed(1));
    kept.set("to", place.range.to.toFixed(1));
  }
  if (place.beside) kept.set("beside", place.beside);
  if (place.filter) kept.set("filter", place.filter);
  if (place.seq) kept.set("seq", String(place.seq));
  if (place.tab) kept.set("tab", place.tab);
  return `#${kept}`;
}
