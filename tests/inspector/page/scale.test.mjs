// The time scale: places on the screen and times lead to each other.

import assert from "node:assert/strict";
import test from "node:test";

import { shownDuration, shownTime, ticks, timeScale, within, zoomed } from "../../../eventbus/inspector/static/scale.js";

test("a place and its time lead to each other", () => {
  const scale = timeScale({ from: 1000, to: 3000 }, 500);

  assert.equal(scale.x(2000), 250);
  assert.equal(scale.ms(125), 1500);
});

test("marks of the axis are round numbers, and far enough apart", () => {
  assert.deepEqual(ticks({ from: 0, to: 10000 }, 500), [0, 2000, 4000, 6000, 8000, 10000]);
  assert.ok(ticks({ from: 0, to: 7_200_000 }, 1200).length <= 14);
});

test("zooming and moving stay within the call", () => {
  const whole = { from: 0, to: 10000 };

  assert.deepEqual(zoomed(whole, 0.5, 9000, whole), { from: 4500, to: 9500 });
  assert.deepEqual(within({ from: 9000, to: 12000 }, whole), { from: 7000, to: 10000 });
});

test("nothing is zoomed closer than five milliseconds", () => {
  assert.deepEqual(zoomed({ from: 0, to: 10 }, 0.001, 5, { from: 0, to: 10000 }), { from: 2.5, to: 7.5 });
});

test("times are written as a reader expects them", () => {
  assert.equal(shownTime(62345), "1:02.345");
  assert.deepEqual([null, 0.04, 45, 1240, 12_340].map(shownDuration), ["–", "0.04 ms", "45 ms", "1.24 s", "12.3 s"]);
});
