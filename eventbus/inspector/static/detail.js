// One line in full: its records, and of one of them the message, the event, cause and effects.

import { shownDuration, shownTime } from "./scale.js";

/** @typedef {Record<string, any>} Json */
/** @typedef {{open: (seq: number) => void, play: (ms: number) => void, copy: (text: string) => void}} Actions */

/** @param {string} name @param {Json} [attributes] @param {(Node | string)[]} children */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/**
 * Show the records of a line, and one of them in full.
 * @param {HTMLElement} box
 * @param {Json[]} rows
 * @param {Json | null} detail
 * @param {Actions} actions
 */
export function showDetail(box, rows, detail, actions) {
  const parts = [];
  if (detail !== null) parts.push(...recordParts(detail, actions));
  if (rows.length > 0) parts.push(element("h2", {}, `Records of this line (${rows.length})`), table(rows, actions));
  box.replaceChildren(...parts);
}

/** @param {Json[]} rows @param {Actions} actions */
function table(rows, actions) {
  const head = element("tr", {}, ...["record", "time", "kind", "type or handler", "queued", "ran"].map((text) => element("th", { scope: "col" }, text)));
  const body = rows.slice(0, 500).map((row) =>
    element(
      "tr", {},
      element("td", {}, link(row.seq, actions)),
      element("td", {}, shownTime(row.t_ms)),
      element("td", {}, row.kind),
      element("td", {}, row.handler ?? row.type ?? ""),
      element("td", {}, row.queued_ms === null ? "" : shownDuration(row.queued_ms)),
      element("td", {}, row.run_ms === null ? (row.error ?? "") : `${shownDuration(row.run_ms)} ${row.error ?? ""}`),
    ),
  );
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

/** @param {Json} detail @param {Actions} actions */
function recordParts({ record, cause, effects }, actions) {
  const title = `#${record.seq} ${record.kind} ${record.type ?? record.handler ?? (record.frame ?? record.message)?.type ?? ""}`;
  const parts = [
    element("h2", {}, title),
    element("p", {}, `${shownTime(record.t_ms)}  ${record.wall}  ${record.sender === null ? "" : `sender ${record.sender}`}`),
    element(
      "div", { class: "actions" },
      element("button", { type: "button", onclick: () => actions.copy(JSON.stringify(record, null, 2)) }, "Copy JSON"),
      element("button", { type: "button", onclick: () => actions.play(record.t_ms) }, "Play from here"),
    ),
  ];
  const frame = record.frame ?? record.message ?? cause?.frame ?? effects.find((/** @type {Json} */ each) => each.frame !== undefined)?.frame;
  const event = record.event ?? effects.find((/** @type {Json} */ each) => each.event)?.event ?? cause?.event ?? undefined;
  const columns = [];
  if (frame !== undefined) columns.push(element("div", {}, element("h2", {}, record.message === undefined ? "Server JSON" : "Sent"), code(frame)));
  if (event !== undefined) columns.push(element("div", {}, element("h2", {}, "Typed event"), code(event)));
  if (columns.length > 0) parts.push(element("div", { class: "columns" }, ...columns));
  if (record.problem) parts.push(element("p", {}, record.problem));
  if (record.kind === "call") parts.push(...callParts(record));
  if (["drop", "gap", "status"].includes(record.kind)) parts.push(code(record));
  if (cause !== null) parts.push(element("p", {}, "Caused by ", link(cause.seq, actions), ` ${cause.type ?? cause.handler ?? cause.kind}`));
  if (effects.length > 0) {
    const led = effects.map((/** @type {Json} */ each) => element("li", {}, link(each.seq, actions), ` ${each.kind} ${each.type ?? each.handler ?? ""} ${each.run_ms === undefined ? "" : `queued ${shownDuration(each.queued_ms)}, ran ${shownDuration(each.run_ms)}`}`));
    parts.push(element("h2", {}, "Led to"), element("ul", {}, ...led));
  }
  return parts;
}

/** @param {Json} record */
function callParts(record) {
  const facts = `${record.state}: queued ${shownDuration(record.queued_ms)}, ran ${shownDuration(record.run_ms)}`;
  const parts = [element("p", {}, facts)];
  if (record.error !== null) parts.push(element("pre", {}, `${record.error.type}: ${record.error.message}\n${record.error.traceback ?? ""}`));
  return parts;
}

/** @param {number} seq @param {Actions} actions */
function link(seq, actions) {
  return element("button", { type: "button", onclick: () => actions.open(seq) }, `#${seq}`);
}

/** @param {unknown} value */
function code(value) {
  const text = JSON.stringify(value, (_, each) => (typeof each === "string" && each.length > 400 ? `${each.slice(0, 60)}… (${each.length} characters)` : each), 2);
  return element("pre", {}, text);
}
