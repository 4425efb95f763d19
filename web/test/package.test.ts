import { describe, expect, test } from "vitest";
import { largestDifference, spread } from "../src/package";

const output = (...data: number[]) => ({ shape: [data.length], data });

describe("golden outputs", () => {
  test("that are the same do not differ", () => {
    expect(largestDifference({ y: output(1, 2) }, { y: output(1, 2) })).toBe(0);
    expect(largestDifference({ y: output(0, 0) }, { y: output(0, 0) })).toBe(0);
  });

  test.each([1e-9, 1, 1e9])("differ by a share of their spread, in a unit of %f too", (unit) => {
    const expected = { y: output(0, 4 * unit) };

    expect(largestDifference({ y: output(unit, 4 * unit) }, expected)).toBeCloseTo(0.25);
  });

  test("are each compared in their own size", () => {
    const expected = { large: output(0, 1e6), small: output(0, 1e-5) };

    expect(largestDifference({ ...expected, small: output(0, 0) }, expected)).toBe(1);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("never pass as %f", (bad) => {
    for (const [found, expected] of [
      [bad, 1],
      [1, bad],
      [bad, bad],
    ] as const) {
      const worst = largestDifference({ y: output(found, 0) }, { y: output(expected, 0) });

      expect(worst <= 1e30).toBe(false);
    }
  });

  test("that are missing never pass", () => {
    expect(largestDifference({}, { y: output(1) })).toBeNaN();
  });
});

test.each([
  [[0, 1], 1],
  [[-1.3e-5, 1.3e-5], 2.6e-5],
  [[5, 5], 0.05],
  [[0, 0], 1],
  [[293, 293.1], 2.931],
])("the spread of %j is %f", (values, expected) => {
  expect(spread(values)).toBeCloseTo(expected, 10);
});
