// The address: a view that is written there is the one that is read.

import assert from "node:assert/strict";
import test from "node:test";

import { readPlace, writePlace } from "../../../eventbus/inspector/static/address.js";
import { nextTime } from "../../../eventbus/inspector/static/keys.js";

test("a view is read as it was written", () => {
  const place = { call: "0-1", beside: "1-0", filter: 'is:error "a b"&c', seq: 12, range: { from: 5, to: 10.5 }, tab: "diff" };

  assert.deepEqual(readPlace(writePlace(place)), place);
});

test("an address that makes no sense is a view without those parts", () => {
  assert.deepEqual(readPlace("#seq=x&from=9&to=2&tab=diff"), { tab: "diff" });
  assert.deepEqual(readPlace("#seq=-4"), {});
});

test("the next of some times is after the cursor, and the one before is before it", () => {
  assert.equal(nextTime([30, 10, 20], 10, false), 20);
  assert.equal(nextTime([30, 10, 20], 20, true), 10);
  assert.equal(nextTime([10], 10, false), undefined);
});
