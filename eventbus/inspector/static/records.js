// The list and the record beside it: what is chosen is fetched, and shown.

import { showDetail } from "./detail.js";
import { LineList } from "./list.js";
import { goTo, player } from "./moving.js";
import { $, moved, source, state, writeHash } from "./screen.js";

export const list = new LineList($("list"), $("spacer"), (from, count) => source.lines(state.id, state.filter, from, count), (line) => void openLine(line));

export async function showLines() {
  const round = `${state.id} ${state.filter}`;
  try {
    let answer = await list.refresh();
    $("filter").setAttribute("aria-invalid", "false");
    while (round === `${state.id} ${state.filter}`) {
      const part = answer.searched < 1 ? `, searched ${Math.floor(answer.searched * 100)} %` : "";
      $("count").textContent = `${answer.count.toLocaleString("en")} lines${part}`;
      $("nothing").hidden = answer.count > 0 || state.filter === "" || answer.searched < 1;
      if (answer.searched >= 1) return;
      answer = await list.refresh();
    }
  } catch (problem) {
    $("filter").setAttribute("aria-invalid", "true");
    $("count").textContent = /** @type {Error} */ (problem).message;
  }
}

/** @param {any[]} line */
async function openLine(line) {
  const [first, last, at] = line;
  state.cursor = at;
  state.rows = [];
  await openRecord(first);
  // A long line stands for many frames, and other records lie between them.
  const rows = await source.rows(state.id, first, Math.min(last, first + 1999));
  if (state.seq !== first) return; // another one was chosen meanwhile
  state.rows = rows;
  showRecord();
}

/** @param {number} seq */
async function openRecord(seq) {
  state.seq = seq;
  const detail = await source.detail(state.id, seq);
  if (state.seq !== seq) return;
  state.detail = detail;
  showRecord();
  writeHash();
  moved();
}

/** Select the line of a record. @param {number} seq */
export async function openSeq(seq) {
  const place = await source.place(state.id, state.filter, seq);
  if (place === null) return openRecord(seq);
  await list.select(place);
}

function showRecord() {
  showDetail($("detail"), state.rows, state.detail, {
    open: (wanted) => void openRecord(wanted),
    play: (ms) => void player.play(state.id, ms),
    copy: (text) => void navigator.clipboard.writeText(text),
  });
}

let visited = { error: 0, record: 0 };

/** @param {boolean} isBack */
export async function nextError(isBack) {
  const errors = /** @type {[number, number][]} */ (state.call?.overview.places.errors ?? []);
  // The record that is shown is the first of the error's line, which may be far before it.
  const at = visited.record === state.seq ? visited.error : state.seq;
  const found = isBack ? errors.filter(([, seq]) => seq < at).pop() : errors.find(([, seq]) => seq > at);
  if (found === undefined) return;
  goTo(found[0]);
  await openSeq(found[1]);
  visited = { error: found[1], record: state.seq };
}
