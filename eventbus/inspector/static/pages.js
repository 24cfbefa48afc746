// Windows of a long list: which pages are wanted, and which are kept. Pure functions and classes.

/** The number of lines that are fetched at once. */
export const PAGE = 200;

const MAX_PAGES = 12;

/** Pages of a list that is too long to be held; the longest unused ones are dropped. */
export class Pages {
  /** @type {Map<number, any[][]>} */
  #pages = new Map();

  /** Return the line at a place, if its page is here. @param {number} place */
  get(place) {
    return this.#pages.get(Math.floor(place / PAGE))?.[place % PAGE];
  }

  /**
   * Return the numbers of the pages that places from `first` up to `end` need and that aren't here.
   * @param {number} first
   * @param {number} end
   */
  missing(first, end) {
    const wanted = [];
    for (let number = Math.floor(first / PAGE); number * PAGE < end; number += 1) {
      const page = this.#pages.get(number);
      if (page === undefined) wanted.push(number);
      else {
        this.#pages.delete(number); // used last
        this.#pages.set(number, page);
        // The last page of a list that has grown is there, but is too short.
        if (page.length < PAGE && number * PAGE + page.length < end) wanted.push(number);
      }
    }
    return wanted;
  }

  /** @param {number} number @param {any[][]} lines */
  put(number, lines) {
    this.#pages.delete(number);
    this.#pages.set(number, lines);
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= MAX_PAGES) break;
      this.#pages.delete(oldest);
    }
  }

  /** Drop the last page: its last line may have grown. @param {number} count */
  dropLast(count) {
    this.#pages.delete(Math.floor(Math.max(count - 1, 0) / PAGE));
  }

  clear() {
    this.#pages.clear();
  }

  get size() {
    return this.#pages.size;
  }
}

/**
 * Return the window of time to ask for, or null if the one that is here will do.
 *
 * It is wider than what is seen, so that a small move needs no other one, and it is asked for
 * again when so little of it is seen that the marks it left out would be apart.
 * @param {{from: number, to: number}} seen
 * @param {Record<string, any> | null} here
 */
export function wantedWindow(seen, here) {
  const span = seen.to - seen.from;
  if (here !== null) {
    if (here.is_whole) return null;
    const covers = here.from_ms <= Math.max(seen.from, 0) && here.to_ms >= seen.to;
    if (covers && here.to_ms - here.from_ms <= 4 * span) return null;
  }
  return { from: Math.max(0, seen.from - span / 2), to: seen.to + span / 2 };
}
