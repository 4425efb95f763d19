import { expect, test } from "vitest";
import type { TensorSpec } from "../src/contract";
import {
  fitStrokes,
  imageLayout,
  inkOf,
  inkTensor,
  item,
  meanPool,
  type Point,
  valueRange,
} from "../src/inputs/pixels";

const spec = (shape: number[], unit = "", meaning = ""): TensorSpec => ({
  ...{ name: "x", shape, dtype: "float32", meaning, unit, columns: [], extra: {} },
});

const point = (x: number, y: number): Point => ({ x, y });

test("a unit that names two numbers is a range of values", () => {
  expect(valueRange("0-16")).toEqual({ low: 0, high: 16 });
  expect(valueRange("0–255")).toEqual({ low: 0, high: 255 });
  expect(valueRange("-1..1")).toEqual({ low: -1, high: 1 });
  expect(valueRange("°C")).toEqual({ low: 0, high: 1 });
});

test("pictures are told from tables and series", () => {
  expect(imageLayout(spec([-1, 1, 8, 6], "0-16"))).toMatchObject({
    ...{ channels: 1, height: 8, width: 6, channelsLast: false, high: 16 },
  });
  expect(imageLayout(spec([-1, 28, 28, 3]))).toMatchObject({ channels: 3, channelsLast: true });
  expect(imageLayout(spec([-1, 28, 28], "", "pixel intensity"))).toMatchObject({ channels: 1 });
  expect(imageLayout(spec([-1, 128, 6]))).toBeNull();
  expect(imageLayout(spec([-1, 4]))).toBeNull();
  expect(imageLayout(spec([-1, 40, 20, 5]))).toBeNull();
});

test("pooling keeps the mean and takes blocks, not samples", () => {
  // one full pixel of four: a quarter of the block
  const values = [1, 0, 0, 0, 0, 0, 1, 1];

  const pooled = meanPool(values, 4, 2, 2, 1);

  expect([...pooled]).toEqual([0.25, 0.5]);
});

test("pixels that do not divide are refused", () => {
  expect(() => meanPool([0, 0, 0], 3, 1, 2, 1)).toThrow(/do not divide/);
});

test("a drawing is framed wherever and however small it was made", () => {
  const small = [[point(0.1, 0.2), point(0.1, 0.3)], [point(0.12, 0.25)]];
  const large = small.map((stroke) => stroke.map(({ x, y }) => point(x * 5 - 0.2, y * 5 - 0.7)));

  const [fitted, again] = [fitStrokes(small, 8, 1), fitStrokes(large, 8, 1)];

  const [line] = fitted;
  expect(line?.[0]?.y).toBeCloseTo(1);
  expect(line?.[1]?.y).toBeCloseTo(7);
  // 0.02 wide of 0.1 high: a fifth of six, centred
  expect(line?.[0]?.x).toBeCloseTo(4 - 0.6);
  fitted.flat().forEach((from, i) => {
    expect(again.flat()[i]?.x).toBeCloseTo(from.x);
    expect(again.flat()[i]?.y).toBeCloseTo(from.y);
  });
});

test("a dot stays a dot in the middle; nothing stays nothing", () => {
  expect(fitStrokes([[point(0.9, 0.9)]], 8, 1)).toEqual([[point(4, 4)]]);
  expect(fitStrokes([], 8, 1)).toEqual([]);
});

test("ink becomes values of the model's range, and comes back", () => {
  const layout = imageLayout(spec([-1, 1, 2, 2], "0-16"));
  if (!layout) throw new Error("no picture");

  const tensor = inkTensor([0, 0.25, 0.5, 1], layout);

  expect(tensor.shape).toEqual([1, 1, 2, 2]);
  expect([...Array.from(tensor.data)]).toEqual([0, 4, 8, 16]);
  expect([...inkOf(tensor.data, layout)]).toEqual([0, 0.25, 0.5, 1]);
});

test("colour pictures get the ink in every channel, in their own order", () => {
  const last = imageLayout(spec([-1, 1, 2, 3], "0-1", "pixel"));
  const first = imageLayout(spec([-1, 3, 1, 2], "0-1"));
  if (!last || !first) throw new Error("no picture");

  // a leading size of one reads as channels first: one channel of 2 × 3
  expect(last.channels).toBe(1);
  expect([...Array.from(inkTensor([0.5, 1], first).data)]).toEqual([0.5, 1, 0.5, 1, 0.5, 1]);
});

test("an item of a batch is a batch of one", () => {
  const batch = { shape: [2, 1, 2], data: [1, 2, 3, 4] };

  expect(item(batch, 1)).toEqual({ shape: [1, 1, 2], data: [3, 4] });
});
