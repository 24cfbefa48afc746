// The filter grammar of the command line (eventbus.analysis), for pages without a server.
// tests/inspector/filter_vectors.json holds this and the Python parser to the same answers.

/** @typedef {Record<string, any>} Row  A record, as `row_of` in _file.py writes it, with `texts`. */

const UNITS = { us: 1e-3, "µs": 1e-3, "μs": 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5 };
const NAMES = {
  type: (/** @type {Row} */ row) => row.types,
  sender: (/** @type {Row} */ row) => [row.sender],
  item: (/** @type {Row} */ row) => row.items,
  response: (/** @type {Row} */ row) => row.responses,
  handler: (/** @type {Row} */ row) => [row.handler],
};
const TIMES = { dur: "run_ms", queued: "queued_ms", t: "t_ms" };

/** A filter that can't be read. */
export class FilterError extends Error {}

/**
 * Return the predicate that a filter's text describes.
 * @param {string} text
 * @returns {(row: Row) => boolean}
 */
export function parseFilter(text) {
  const terms = words(text).map(term);
  return (row) => terms.every((matches) => matches(row));
}

/** @param {string} text */
function words(text) {
  const found = text.match(/!?(?:\/(?:\\.|[^\\/])*\/|(?:[\w]+:)?"[^"]*"|\S+)/gu) ?? [];
  return found.map((word) => ({ word: word.replace(/^!/, ""), negated: word.startsWith("!") }));
}

/** @param {{word: string, negated: boolean}} token */
function term({ word, negated }) {
  const matches = positive(word);
  return negated ? (/** @type {Row} */ row) => !matches(row) : matches;
}

/** @param {string} word */
function positive(word) {
  const named = /^([A-Za-z]+):(.*)$/su.exec(word);
  if (word.startsWith("/") || word.startsWith('"') || named === null) return textTerm(word);
  const [, name, quoted] = named;
  const value = unquoted(quoted);
  if (value === "") throw new FilterError(`${name}: needs a value.`);
  if (name in NAMES) return nameTerm(NAMES[/** @type {keyof typeof NAMES} */ (name)], value);
  if (name === "is") return (/** @type {Row} */ row) => row.states.includes(value.toLowerCase());
  if (name === "seq") return numberTerm("seq", value, Number);
  if (name in TIMES) return numberTerm(TIMES[/** @type {keyof typeof TIMES} */ (name)], value, duration);
  throw new FilterError(`There is no ${name}: in a filter; quote a text that has a colon.`);
}

/** @param {string} word */
function textTerm(word) {
  const pattern = word.startsWith("/")
    ? new RegExp(word.slice(1, -1), "isu")
    : new RegExp(escaped(unquoted(word)), "isu");
  return (/** @type {Row} */ row) => row.texts.some((/** @type {string} */ text) => pattern.test(text));
}

/**
 * @param {(row: Row) => (string | null)[]} values
 * @param {string} value
 */
function nameTerm(values, value) {
  const alternatives = value.split(",").map((each) => each.split("*").map(escaped).join(".*"));
  const pattern = new RegExp(`^(?:${alternatives.join("|")})$`, "isu");
  return (/** @type {Row} */ row) => values(row).some((each) => each !== null && pattern.test(each));
}

/**
 * @param {string} field
 * @param {string} value
 * @param {(text: string) => number} read
 */
function numberTerm(field, value, read) {
  const compared = /^(>=|<=|>|<|=)?(.*)$/su.exec(value);
  const ends = value.split("..");
  const [, sign, rest] = compared ?? ["", "", value];
  const test =
    ends.length === 2
      ? between(ends[0] === "" ? -Infinity : number(ends[0], read), ends[1] === "" ? Infinity : number(ends[1], read))
      : comparison(sign ?? "=", number(rest, read));
  return (/** @type {Row} */ row) => row[field] !== null && row[field] !== undefined && test(row[field]);
}

/** @param {number} low @param {number} high */
function between(low, high) {
  return (/** @type {number} */ value) => value >= low && value <= high;
}

/** @param {string} sign @param {number} limit */
function comparison(sign, limit) {
  switch (sign) {
    case ">": return (/** @type {number} */ value) => value > limit;
    case ">=": return (/** @type {number} */ value) => value >= limit;
    case "<": return (/** @type {number} */ value) => value < limit;
    case "<=": return (/** @type {number} */ value) => value <= limit;
    default: return (/** @type {number} */ value) => value === limit;
  }
}

/** @param {string} text @param {(text: string) => number} read */
function number(text, read) {
  const value = read(text);
  if (text === "" || Number.isNaN(value)) throw new FilterError(`${text || "It"} is not a number here.`);
  return value;
}

/** @param {string} text */
function duration(text) {
  if (!/^(?:\d+(?:\.\d+)?(?:us|µs|μs|ms|s|m|h))+$/u.test(text)) return NaN;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(us|µs|μs|ms|s|m|h)/gu))
    sum += Number(count) * UNITS[/** @type {keyof typeof UNITS} */ (unit)];
  return sum;
}

/** @param {string} text */
function unquoted(text) {
  return text.startsWith('"') && text.endsWith('"') && text.length > 1 ? text.slice(1, -1) : text;
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}
