// Windows: of a long list, and of time. However long the call is, little of it is held.

import assert from "node:assert/strict";
import test from "node:test";

import { PAGE, Pages, wantedWindow } from "../../../eventbus/inspector/static/pages.js";

const page = (/** @type {number} */ number, length = PAGE) => Array.from({ length }, (_, place) => [number * PAGE + place]);

test("only pages that are seen and not here are missing", () => {
  const pages = new Pages();
  pages.put(0, page(0));

  assert.deepEqual(pages.missing(PAGE - 10, PAGE + 30), [1]);
  assert.deepEqual(pages.get(3), [3]);
  assert.equal(pages.get(PAGE), undefined);
});

test("a list of any length holds a dozen pages, the ones used last", () => {
  const pages = new Pages();
  for (let number = 0; number < 1000; number += 1) {
    pages.put(number, page(number));
    pages.missing(0, 1); // the first one is looked at again and again
  }

  assert.equal(pages.size, 12);
  assert.deepEqual(pages.get(0), [0]);
  assert.deepEqual(pages.get(999 * PAGE), [999 * PAGE]);
  assert.equal(pages.get(500 * PAGE), undefined);
});

test("a last page that was short is missing once the list has grown", () => {
  const pages = new Pages();
  pages.put(0, page(0, 50));

  assert.deepEqual(pages.missing(0, 50), []);
  assert.deepEqual(pages.missing(0, 60), [0]);
});

test("a window is wider than what is seen, and is kept while it covers that", () => {
  assert.deepEqual(wantedWindow({ from: 1000, to: 3000 }, null), { from: 0, to: 4000 });
  assert.equal(wantedWindow({ from: 1500, to: 3500 }, { from_ms: 0, to_ms: 4000 }), null);
  assert.deepEqual(wantedWindow({ from: 3000, to: 5000 }, { from_ms: 0, to_ms: 4000 }), { from: 2000, to: 6000 });
});

test("closer up, a finer window is asked for, unless it is whole", () => {
  const here = { from_ms: 0, to_ms: 100_000 };

  assert.deepEqual(wantedWindow({ from: 50_000, to: 51_000 }, here), { from: 49_500, to: 51_500 });
  assert.equal(wantedWindow({ from: 50_000, to: 51_000 }, { ...here, is_whole: true }), null);
});
