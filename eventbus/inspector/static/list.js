// The list of lines: only those that are seen are in the document.

import { shownTime } from "./scale.js";

const ROW = 22;

/** A list of the lines of a call, with one of them selected. */
export class LineList {
  /** @type {any[][]} */
  lines = [];
  selected = -1;

  /**
   * @param {HTMLElement} box
   * @param {HTMLElement} spacer
   * @param {(place: number) => void} onSelect
   */
  constructor(box, spacer, onSelect) {
    this.box = box;
    this.spacer = spacer;
    this.onSelect = onSelect;
    box.addEventListener("scroll", () => this.draw());
    box.addEventListener("click", (event) => {
      const row = /** @type {HTMLElement} */ (event.target).closest(".line");
      if (row instanceof HTMLElement) this.select(Number(row.dataset.place));
    });
    new ResizeObserver(() => this.draw()).observe(box);
  }

  /** @param {any[][]} lines */
  show(lines) {
    const first = this.lines[this.selected]?.[0];
    this.lines = lines;
    this.selected = first === undefined ? -1 : lines.findIndex((line) => line[0] === first);
    this.spacer.style.height = `${lines.length * ROW}px`;
    this.draw();
  }

  /** @param {number} place */
  select(place) {
    if (this.lines.length === 0) return;
    this.selected = Math.min(Math.max(place, 0), this.lines.length - 1);
    const top = this.selected * ROW;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    const bottom = top + ROW - this.box.clientHeight;
    if (bottom > this.box.scrollTop) this.box.scrollTop = bottom;
    this.draw();
    this.onSelect(this.selected);
  }

  /** Select the line that has a record. @param {number} seq */
  selectRecord(seq) {
    let best = -1;
    this.lines.forEach((line, place) => {
      if (line[0] <= seq && seq <= line[1] && (best < 0 || line[0] > this.lines[best][0])) best = place;
    });
    if (best >= 0) this.select(best);
  }

  /** Go to the last line. */
  toEnd() {
    this.box.scrollTop = this.spacer.offsetHeight;
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 5);
    const last = Math.min(this.lines.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + 5);
    const rows = [];
    for (let place = first; place < last; place += 1) rows.push(this.#row(place));
    // The selected line stays in the document, as assistive technology points at it.
    if (this.selected >= 0 && (this.selected < first || this.selected >= last)) rows.push(this.#row(this.selected));
    this.spacer.replaceChildren(...rows);
    if (this.selected >= 0) this.box.setAttribute("aria-activedescendant", `line-${this.selected}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  /** @param {number} place */
  #row(place) {
    const [seq, , at, , kind, type, , text, count, states] = this.lines[place];
    const row = document.createElement("div");
    row.className = states.length > 0 ? "line error" : "line";
    row.id = `line-${place}`;
    row.dataset.place = String(place);
    row.dataset.seq = String(seq);
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(place === this.selected));
    row.setAttribute("aria-posinset", String(place + 1));
    row.setAttribute("aria-setsize", String(this.lines.length));
    row.style.top = `${place * ROW}px`;
    const words = states.length > 0 ? `[${states.join(" ")}] ${text}` : text;
    const cells = [["t", shownTime(at)], ["k", kind], ["y", type], ["n", count > 1 ? `×${count}` : ""], ["x", words]];
    for (const [name, value] of cells) {
      const cell = document.createElement("span");
      cell.className = name;
      cell.textContent = value;
      row.append(cell);
    }
    return row;
  }
}
