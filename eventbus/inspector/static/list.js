// The list of lines: only those that are seen are in the document, and pages of them are fetched.

import { PAGE, Pages } from "./pages.js";
import { shownTime } from "./scale.js";

/** @typedef {import("./source.js").Lines} Lines */

const ROW = 22;

/** A list of the lines of a call, with one of them selected. */
export class LineList {
  count = 0;
  selected = -1;
  #pages = new Pages();
  #round = 0;
  /** @type {Set<number>} */ #asked = new Set();
  /** @type {Map<number, HTMLElement>} */ #rows = new Map();

  /**
   * @param {HTMLElement} box
   * @param {HTMLElement} spacer
   * @param {(from: number, count: number) => Promise<Lines>} load
   * @param {(line: any[]) => void} onSelect
   */
  constructor(box, spacer, load, onSelect) {
    this.box = box;
    this.spacer = spacer;
    this.load = load;
    this.onSelect = onSelect;
    box.addEventListener("scroll", () => this.draw(), { passive: true });
    box.addEventListener("click", (event) => {
      const row = /** @type {HTMLElement} */ (event.target).closest(".line");
      if (row instanceof HTMLElement) void this.select(Number(row.dataset.place));
    });
    new ResizeObserver(() => this.draw()).observe(box);
  }

  /** Forget all: it is another list now. */
  reset() {
    this.#round += 1;
    this.#pages.clear();
    this.#asked.clear();
    this.selected = -1;
    this.box.scrollTop = 0;
  }

  /** Fetch the length of the list and what is seen; return the answer. */
  async refresh() {
    const round = this.#round;
    const first = Math.floor(this.#first() / PAGE);
    const answer = await this.load(first * PAGE, PAGE);
    if (round !== this.#round) return answer;
    if (answer.count !== this.count) this.#pages.dropLast(this.count);
    this.count = answer.count;
    this.#pages.put(first, answer.lines);
    this.spacer.style.height = `${this.count * ROW}px`;
    this.#redraw();
    return answer;
  }

  /** Select the line at a place, and show it. @param {number} place */
  async select(place) {
    if (this.count === 0) return;
    this.selected = Math.min(Math.max(place, 0), this.count - 1);
    const top = this.selected * ROW;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    const bottom = top + ROW - this.box.clientHeight;
    if (bottom > this.box.scrollTop) this.box.scrollTop = bottom;
    this.#redraw();
    const wanted = this.selected;
    await this.#fetch(wanted, wanted + 1);
    const line = this.#pages.get(wanted);
    if (this.selected === wanted && line !== undefined) this.onSelect(line);
  }

  /** Go to the last line. */
  toEnd() {
    this.box.scrollTop = this.count * ROW;
  }

  #first() {
    return Math.max(0, Math.floor(this.box.scrollTop / ROW) - 5);
  }

  /** @param {number} first @param {number} end */
  async #fetch(first, end) {
    const round = this.#round;
    const wanted = this.#pages.missing(first, end).filter((number) => !this.#asked.has(number));
    for (const number of wanted) {
      this.#asked.add(number);
      try {
        const answer = await this.load(number * PAGE, PAGE);
        if (round !== this.#round) return;
        this.#pages.put(number, answer.lines);
      } catch {
        return; // the connection is lost, which the page says elsewhere; scrolling asks again
      } finally {
        this.#asked.delete(number);
      }
      this.#redraw();
    }
  }

  #redraw() {
    for (const row of this.#rows.values()) row.remove();
    this.#rows.clear();
    this.draw();
  }

  /** Put the lines that are seen into the document, and take the others out. */
  draw() {
    const first = this.#first();
    const end = Math.min(this.count, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + 5);
    for (const [place, row] of this.#rows) {
      // The selected line stays in the document, as assistive technology points at it.
      if ((place >= first && place < end) || place === this.selected) continue;
      row.remove();
      this.#rows.delete(place);
    }
    const fresh = document.createDocumentFragment();
    const add = (/** @type {number} */ place) => {
      const line = this.#pages.get(place);
      if (line === undefined || this.#rows.has(place)) return;
      const row = this.#row(place, line);
      this.#rows.set(place, row);
      fresh.append(row);
    };
    for (let place = first; place < end; place += 1) add(place);
    if (this.selected >= 0 && this.selected < this.count) add(this.selected);
    this.spacer.append(fresh);
    if (this.#rows.has(this.selected)) this.box.setAttribute("aria-activedescendant", `line-${this.selected}`);
    else this.box.removeAttribute("aria-activedescendant");
    if (this.#pages.missing(first, end).length > 0) void this.#fetch(first, end);
  }

  /** @param {number} place @param {any[]} line */
  #row(place, line) {
    const [seq, , at, , kind, type, , text, count, states] = line;
    const row = document.createElement("div");
    row.className = states.length > 0 ? "line error" : `line ${kind}`;
    row.id = `line-${place}`;
    row.dataset.place = String(place);
    row.dataset.seq = String(seq);
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(place === this.selected));
    row.setAttribute("aria-posinset", String(place + 1));
    row.setAttribute("aria-setsize", String(this.count));
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
