// Two calls side by side: their turns, aligned, and the events that differ.

import { element } from "./detail.js";
import { shownDuration, shownTime } from "./scale.js";

/** @typedef {Record<string, any>} Json */
/** @typedef {{turn: (left: Json | null, right: Json | null) => void, record: (seq: number) => void}} CompareActions */

/**
 * Show the differences between two calls.
 * @param {HTMLElement} box
 * @param {Json} found
 * @param {[string, string]} names
 * @param {CompareActions} actions
 */
export function showDifferences(box, found, names, actions) {
  const changed = found.turns.filter((/** @type {Json} */ pair) => pair.differs.length > 0).length;
  const about = `A is ${names[0]}; B is ${names[1]}. ${found.turns.length} turns, ${changed} of them different; ${eventCount(found)}.`;
  box.replaceChildren(
    element("p", {}, about),
    element("h2", {}, "Turns"),
    turnTable(found.turns, actions),
    element("h2", {}, "Figures"),
    figureTable(found.figures),
    element("h2", {}, "Events that differ"),
    ...eventParts(found, actions),
  );
}

/** @param {Json} found */
function eventCount(found) {
  if (!found.is_compared) return "the calls are too long to compare each event: trim the journals";
  return `${found.has_more ? "more than " : ""}${found.events.length} events differ, times and ids apart`;
}

/** @param {Json[]} pairs @param {CompareActions} actions */
function turnTable(pairs, actions) {
  const head = ["turn", "A", "B", "B − A", "what differs"].map((text) => element("th", { scope: "col" }, text));
  const body = pairs.map(({ left, right, differs }) => {
    const known = left ?? right;
    const open = element("button", { type: "button", onclick: () => actions.turn(left, right) }, `${known.kind === "text" ? "text " : ""}${known.number}`);
    const delta = left?.latency_ms != null && right?.latency_ms != null ? right.latency_ms - left.latency_ms : null;
    return element(
      "tr", { class: differs.length > 0 ? "differs" : "" },
      element("td", {}, open),
      element("td", {}, latency(left)),
      element("td", {}, latency(right)),
      element("td", { class: delta !== null && delta > 100 ? "bad" : "" }, delta === null ? "" : signed(delta)),
      element("td", {}, ...said(left, right, differs)),
    );
  });
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
}

/** @param {Json | null} turn */
function latency(turn) {
  if (turn === null) return "missing";
  return turn.latency_ms === null ? turn.outcome : shownDuration(turn.latency_ms);
}

/** @param {number} ms */
function signed(ms) {
  return `${ms < 0 ? "−" : "+"}${shownDuration(Math.abs(ms))}`;
}

/** @param {Json | null} left @param {Json | null} right @param {string[]} differs */
function said(left, right, differs) {
  if (left === null || right === null) return [element("p", {}, `only in ${left === null ? "B" : "A"}: ${(left ?? right ?? {}).caller || "–"}`)];
  if (differs.length === 0) return [element("p", {}, left.caller || "the same")];
  return differs.flatMap((name) => [
    element("p", {}, element("strong", {}, `${name} `), element("del", {}, shown(left[name]))),
    element("p", {}, element("ins", {}, shown(right[name]))),
  ]);
}

/** @param {string | string[]} value */
function shown(value) {
  const text = Array.isArray(value) ? value.join(", ") : value;
  return text === "" ? "none" : text;
}

/** @param {any[][]} figures */
function figureTable(figures) {
  const head = ["figure", "A p50 / max", "B p50 / max"].map((text) => element("th", { scope: "col" }, text));
  const cell = (/** @type {number[] | null} */ values) => element("td", {}, values === null ? "–" : values.map(shownDuration).join(" / "));
  const body = figures.map(([name, left, right]) => element("tr", {}, element("td", {}, name), cell(left), cell(right)));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
}

/** @param {Json} found @param {CompareActions} actions */
function eventParts(found, actions) {
  if (found.events.length === 0) return [element("p", {}, found.is_compared ? "None." : "Not compared.")];
  const row = (/** @type {Json} */ each) => {
    const seq = each.left?.[0];
    const mark = { changed: "≠", removed: "only A", added: "only B" }[/** @type {string} */ (each.kind)] ?? each.kind;
    const known = each.left ?? each.right;
    return element(
      "tr", {},
      element("td", {}, mark),
      element("td", {}, seq === undefined ? "" : element("button", { type: "button", onclick: () => actions.record(seq) }, `#${seq}`)),
      element("td", {}, shownTime(known[1])),
      element("td", {}, known[2]),
      element("td", {}, each.values === null ? "" : `${each.field}: ${each.values[0]}, then ${each.values[1]}`),
    );
  };
  const head = ["how", "in A", "time", "type", "field"].map((text) => element("th", { scope: "col" }, text));
  return [element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...found.events.map(row)))];
}
