// What stands around the lanes and the list: figures, states, names, colours.

import { element } from "./detail.js";
import { PARTS } from "./lanes.js";
import { shownDuration } from "./scale.js";

/** @typedef {Record<string, any>} Json */

const COLOURS = ["text", "muted", "grid", "accent", "caller", "callerBand", "callerBar", "model", "modelBand", "modelBar", "received",
  "error", "errorBar", "warning", "warningBar", "okBar", "neutralBar", "toolBar", "handler", "queued", "shade", "onBar",
  "part0", "part1", "part2", "part3", "part4"];
const SLOW_MS = 800; // a pause that callers feel as one; see docs/reference/figures.md
const BAD = ["crashes", "failures", "tool_failures", "drops", "gaps"];

/** Return the colours of the theme, for a canvas. @returns {Record<string, string>} */
export function readColours() {
  const probe = element("span");
  document.body.append(probe);
  /** @type {Record<string, string>} */
  const colours = {};
  for (const name of COLOURS) {
    probe.style.color = `var(--${name})`; // a custom property by itself would say light-dark(…)
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return colours;
}

/** Change between the themes. */
export function switchTheme() {
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const isDark = root.dataset.theme === undefined ? prefersDark : root.dataset.theme === "dark";
  root.dataset.theme = isDark ? "light" : "dark";
}

/** @param {HTMLElement} box @param {Json} overview */
export function showFigures(box, overview) {
  const cards = Object.entries(overview.figures).map(([name, figure]) => {
    const estimated = figure.estimated ? `, ${figure.estimated} of them estimated` : "";
    const about = `${name}: ${figure.definition}. ${figure.count} values${estimated}.`;
    const values = [figure.p50, figure.p95, figure.max].map(shownDuration).join(" / ");
    const isSlow = name === "turn_latency" && figure.p95 > SLOW_MS;
    return card(`${name}${figure.estimated ? " (est.)" : ""}`, values, about, { isBad: isSlow, kind: name === "turn_latency" ? "first" : "", note: "p50 / p95 / max" });
  });
  for (const [name, count] of Object.entries(overview.counts))
    if (count.value > 0) cards.push(card(name, count.value.toLocaleString("en"), `${name}: ${count.definition}.`, { isBad: BAD.includes(name), kind: "count" }));
  box.replaceChildren(...cards);
}

/** @param {string} name @param {string} value @param {string} about @param {{isBad?: boolean, kind?: string, note?: string}} look */
function card(name, value, about, { isBad = false, kind = "", note = "" }) {
  const title = element("dt", {}, name, note === "" ? "" : element("small", {}, ` ${note}`));
  return element("div", { title: about, class: kind }, title, element("dd", { class: isBad ? "bad" : "" }, value));
}

/** @param {HTMLElement} box @param {import("./lanes.js").Lane[]} lanes */
export function nameLanes(box, lanes) {
  box.replaceChildren(...lanes.map((lane) => {
    const row = element("li", { title: lane.about }, element("span", {}, lane.short ?? lane.name), " ", element("small", {}, lane.marks));
    row.style.height = `${lane.height}px`;
    return row;
  }));
}

/** @param {HTMLElement} box */
export function showLegend(box) {
  box.replaceChildren("Parts of a turn: ", ...PARTS.map(([, name], place) => {
    const mark = element("span", { class: "mark", "aria-hidden": "true" });
    mark.style.background = `var(--part${place})`;
    return element("span", {}, mark, name);
  }));
}

/**
 * Return the words for the state of the connection, and of the call.
 * @param {import("./source.js").Connection} connection
 * @param {boolean} isLive
 * @param {Json | null} call
 */
export function stateWords(connection, isLive, call) {
  const records = call === null ? "" : ` (${call.records.toLocaleString("en")} records)`;
  if (connection === "lost") return `not connected: trying again, what is here stays${records}`;
  if (connection === "ended") return `the program has ended: what is here stays${records}`;
  if (call !== null && call.progress < 1) return `reading ${Math.floor(call.progress * 100)} %`;
  if (isLive) return "live";
  return call === null || call.is_closed || call.problems.length > 0 ? "recorded" : "recorded, or still being written";
}

/**
 * Return what a reader of this call must know.
 * @param {Json} overview
 */
export function noticesOf(overview) {
  const told = [...overview.problems];
  if (!overview.has_content) told.push("Recorded without content: there are no words and no audio.");
  else if (!overview.has_audio) told.push("Recorded without audio: waveforms and audible gaps are missing.");
  if (overview.redacted.length > 0) told.push(`Redacted: ${overview.redacted.join(", ")}.`);
  return told.join("\n");
}

/** Return the time that the session has left. @param {Json} overview */
export function countdown(overview) {
  if (overview.expires_ms === null) return "";
  const left = overview.expires_ms - (overview.start_ms + overview.duration_ms);
  if (left <= 0) return "session limit reached";
  const seconds = Math.floor(left / 1000);
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  return `session limit in ${clock}${overview.is_closed ? " at the end" : ""}`;
}
