// Keys: everything that a button does, and more.

/** @typedef {Record<string, () => void>} Keys */

/**
 * Call the action of each key, unless a field has the focus.
 * @param {Keys} keys
 * @param {HTMLElement} filter
 */
export function bindKeys(keys, filter) {
  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.key === "Escape" && target === filter) return filter.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, dialog")) return;
    if ((event.key === " " || event.key === "Enter") && target.closest("button")) return;
    const action = keys[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  });
}

/**
 * Let a pointer choose a range on the minimap; a click goes to its time.
 * @param {HTMLElement} map
 * @param {(x: number) => number} timeAt
 * @param {{range: (from: number, to: number) => void, time: (ms: number) => void}} actions
 */
export function bindBrush(map, timeAt, actions) {
  map.addEventListener("pointerdown", (down) => {
    const first = timeAt(down.offsetX);
    let isBrushed = false;
    const moved = (/** @type {PointerEvent} */ event) => {
      if (Math.abs(event.offsetX - down.offsetX) < 4) return;
      isBrushed = true;
      const other = timeAt(event.offsetX);
      actions.range(Math.min(first, other), Math.max(first, other));
    };
    map.setPointerCapture(down.pointerId);
    map.addEventListener("pointermove", moved);
    map.addEventListener("pointerup", () => {
      map.removeEventListener("pointermove", moved);
      if (!isBrushed) actions.time(first);
    }, { once: true });
  });
}

/**
 * Return the next of some times after another one, or the one before; undefined if there is none.
 * @param {number[]} times
 * @param {number} at
 * @param {boolean} isBack
 */
export function nextTime(times, at, isBack) {
  const sorted = [...times].sort((a, b) => a - b);
  return isBack ? sorted.filter((ms) => ms < at - 1e-6).pop() : sorted.find((ms) => ms > at + 1e-6);
}
