import { expect, test } from "vitest";
import type { Signature, Sketch, TensorSpec } from "../src/contract";
import { delimiterOf, numberIn, rowsOf, spelling } from "../src/inputs/cells";
import { columnsOf, itemsIn, middle, rowOf } from "../src/inputs/columns";
import { toTensors } from "../src/inputs/convert";
import { bytesOf, itemsOf, textOf } from "../src/inputs/files";
import { kindOf, seriesLayout, soundLayout } from "../src/inputs/kinds";
import { readingsIn, readingsOf, windowsOf, windowTensor } from "../src/inputs/readings";
import { EdgeError } from "../src/read";

const spec = (shape: number[], more: Partial<TensorSpec> = {}): TensorSpec => ({
  ...{ name: "x", shape, dtype: "float32", meaning: "", unit: "", columns: [], extra: {} },
  ...more,
});

const signature = (...inputs: TensorSpec[]): Signature => ({
  ...{ inputs, outputs: [], labels: [], extra: {} },
});

test("each kind is known by what the toolkit's sources write", () => {
  const digits = spec([-1, 1, 8, 8], { meaning: "ink on a 4x4 patch", unit: "0-16" });
  const photo = spec([-1, 3, 32, 32], { meaning: "red, green, blue", unit: "0-255" });
  const grey = spec([-1, 1, 28, 28], { meaning: "brightness", unit: "0-255" });
  const audio = spec([-1, 1, 8000], { name: "audio", unit: "-1 to 1 at 8000 Hz" });
  const table = spec([-1, 2], { columns: ["a", "b"] });
  const window = spec([-1, 32], { name: "series", meaning: "machine temperature" });

  expect(kindOf(digits, ["0", "1"])).toBe("drawing");
  expect(kindOf(photo)).toBe("picture");
  expect(kindOf(grey, ["cat", "dog"])).toBe("picture");
  expect(kindOf(grey, ["7", "8"])).toBe("drawing");
  expect(kindOf(audio)).toBe("sound");
  expect(kindOf(table)).toBe("table");
  expect(kindOf(window)).toBe("series");
});

test("what says nothing of itself is told by its shape, or not at all", () => {
  expect(kindOf(spec([-1, 224, 224, 3]))).toBe("picture");
  expect(kindOf(spec([1, 4]))).toBe("table");
  expect(kindOf(spec([-1, 500]))).toBe("series");
  expect(kindOf(spec([-1, 128, 6]))).toBe("series");
  expect(kindOf(spec([-1, 49, 10, 1]))).toBe("other"); // features of a sound: not square
  expect(kindOf(spec([-1, 5, 40, 20, 5]))).toBe("other");
  expect(kindOf(spec([-1, -1, 3]))).toBe("other");
  expect(kindOf(spec([-1]))).toBe("other");
  expect(kindOf(spec([-1, 4], { dtype: "bool" }))).toBe("other");
});

test("channels of a series are the axis with names, else the shorter one", () => {
  const layouts = [
    seriesLayout(spec([-1, 2, 24])),
    seriesLayout(spec([-1, 24, 2])),
    seriesLayout(spec([-1, 3, 4], { columns: ["a", "b", "c", "d"] })),
    seriesLayout(spec([-1, 24])),
  ];

  expect(layouts.map((one) => [one?.samples, one?.channels.length, one?.channelsLast])).toEqual([
    ...[
      [24, 2, false],
      [24, 2, true],
      [3, 4, true],
      [24, 1, false],
    ],
  ]);
});

test("cells are read as the toolkit reads them", () => {
  expect(["1.5", "-.5", "1e3", " 2 ", "+7."].map(numberIn)).toEqual([1.5, -0.5, 1000, 2, 7]);
  expect(["0x10", "", "1,5", "1e39", "inf", "abc"].map(numberIn)).toEqual(Array(6).fill(null));
  expect(spelling(["1", "2"])("01.0")).toBe("1");
  expect(spelling(["01", "red"])("01")).toBe("01");
});

test("rows keep quoted cells whole and know their lines", () => {
  const rows = rowsOf('a,"b,\n""c"""\r\n\r\n1, 2 \n', ",");

  expect(rows).toEqual([
    { line: 1, cells: ["a", 'b,\n"c"'] },
    { line: 4, cells: ["1", "2"] },
  ]);
  expect(() => rowsOf('a,"b', ",")).toThrow(/never closed/);
  expect([delimiterOf("a;b;c,d"), delimiterOf("a\tb"), delimiterOf("alone")]).toEqual([
    ...[";", "\t", ","],
  ]);
});

const sketch = (edges: number[], counts: number[], minimum: number, maximum: number): Sketch => ({
  ...{ edges, counts, nulls: 0, minimum, maximum, total: 0, squares: 0 },
});

const flower = spec([-1, 3], {
  ...{ name: "features", columns: ["length (cm)", "width (cm)", "garden"] },
  extra: { choices: { garden: ["north", "south"] } },
});

test("a column brings its unit, range and choices from the signature and the profile", () => {
  const sketches = new Map([["length (cm)", sketch([2, 4], [0, 10, 10], 2, 8)]]);
  const [length, width, garden] = columnsOf(flower, { samples: 20, sketches, extra: {} });

  expect(length).toMatchObject({ title: "length", unit: "cm", low: 2, high: 8, usual: 4 });
  expect(width).toMatchObject({ low: null, usual: null });
  expect(garden).toMatchObject({ title: "garden", unit: "", choices: ["north", "south"] });
});

test("the middle is within the bin that half of the values lie below", () => {
  expect(middle(sketch([0, 10], [0, 4, 0], 0, 10))).toBe(5);
  expect(middle(sketch([-0.5, 0.5, 1.5], [0, 3, 1, 0], 0, 1))).toBe(0);
  expect(middle(sketch([0.5, 1.5], [1, 9, 0], 0, 1))).toBe(1);
  expect(middle({ ...sketch([], [0], 0, 0), minimum: null, maximum: null })).toBeNull();
});

test("a pasted row is read with names in any order, or without names", () => {
  const columns = columnsOf(flower, null);
  const read = (text: string) => itemsIn(text, columns, "features").map((item) => item.inputs);
  const expected = { shape: [1, 3], data: Float32Array.of(1, Number.NaN, 1) };

  expect(read("1, ,south")).toEqual([{ features: expected }]);
  expect(read("garden\tkind\tWIDTH\tlength (cm)\nsouth\tx\t?\t1")).toEqual([
    { features: expected },
  ]);
});

test("each bad row says what is wrong with it and the others are read", () => {
  const items = itemsIn("1,2,north\n1,2\n1,x,north\n1,2,east", columnsOf(flower, null), "x");

  expect(items.map(({ name, problem }) => [name, problem])).toEqual([
    ["line 1", undefined],
    ["line 2", "2 cells where 3 are needed: length (cm), width (cm), garden."],
    ["line 3", "width: “x” is no number."],
    ["line 4", "garden: “east” is none of north, south."],
  ]);
  expect(() => itemsIn("length,garden\n1,north", columnsOf(flower, null), "x")).toThrow(/width/);
});

test("a row by column is the same, and an unknown column is refused", async () => {
  const given = { "length (cm)": 1, "width (cm)": null, garden: "south" };

  const { features } = await toTensors(given, signature(flower));

  expect(features).toEqual({ shape: [1, 3], data: Float32Array.of(1, Number.NaN, 1) });
  expect(() => rowOf(columnsOf(flower, null), { lenght: 1 })).toThrow(/no column “lenght”/);
});

test("numbers and tensors of one's own pass", async () => {
  const two = signature(spec([-1, 1, 2, 2]));
  const tensors = { x: { shape: [1, 1, 2, 2], data: [1, 2, 3, 4] } };

  expect(await toTensors([1, 2, 3, 4], two)).toEqual(tensors);
  expect(await toTensors(tensors, two)).toBe(tensors);
  await expect(toTensors([1, 2], two)).rejects.toThrow("x takes 4 numbers an item; 2 were given.");
  await expect(toTensors([1], signature(spec([-1, 1]), spec([-1, 1])))).rejects.toThrow("2 inputs");
});

const NO_INPUTS: readonly unknown[] = [
  ...[null, undefined, "5, 3, 1", 5, true, () => 1, new Map(), new ArrayBuffer(8), {}],
  ...[Promise.resolve([1, 2, 1]), { garden: true }, { garden: ["south"] }, ["1", 2, 1]],
  ...[[1, null, 1], BigInt64Array.of(1n, 2n, 1n)],
];

test.each(NO_INPUTS.map((given) => ({ given })))(
  "what is no input is refused in words: $given",
  async ({ given }) => {
    const asked = toTensors(given as never, signature(flower));

    await expect(asked).rejects.toThrow(EdgeError);
  },
);

test("what was given is told, and what a model takes", async () => {
  const told = (given: unknown) =>
    toTensors(given as never, signature(flower)).catch(({ message, hint }) => [message, hint]);

  expect(await told(new ArrayBuffer(8))).toEqual([
    "A model cannot be asked with an ArrayBuffer.",
    "Give a picture, a canvas, a sound, a file, a row, a list of numbers, or tensors by name.",
  ]);
  expect(await told({})).toEqual([
    "The row is empty.",
    "Its columns are length (cm), width (cm), garden.",
  ]);
  expect(await told([1, "2", 3])).toEqual([
    "features takes numbers; the text “2” was given among them.",
    "Write NaN for a value that is missing.",
  ]);
  expect(await told({ garden: true })).toEqual([
    "garden takes a number or a word; true was given.",
    "null stands for a value that is missing.",
  ]);
});

test("readings come from lines, rows or named columns, times left out", () => {
  const one = seriesLayout(spec([-1, 3]));
  const two = seriesLayout(spec([-1, 3, 2], { columns: ["t", "p"] }));
  if (!one || !two) throw new Error("no series");

  expect(readingsIn("1 2;3\n4", one)).toEqual([Float64Array.of(1, 2, 3, 4)]);
  expect(readingsIn("time,value\n2013-12-02 21:15:00,73.9\n2013-12-02 21:20:00,74", one)).toEqual([
    Float64Array.of(73.9, 74),
  ]);
  expect(readingsIn("p,when,t\n1,a,2\n3,b,4", two)).toEqual([
    ...[Float64Array.of(2, 4), Float64Array.of(1, 3)],
  ]);
  expect(() => readingsIn("1,2,3\n4,5,6", two)).toThrow("3 columns of numbers where the model");
  expect(() => readingsIn("hello", one)).toThrow("0 columns of numbers");
});

test("a window goes into the axes of the model and comes back", () => {
  const layout = seriesLayout(spec([-1, 3, 2]));
  if (!layout) throw new Error("no series");
  const readings = [Float64Array.of(1, 2, 3, 4, 5, 6, 7), Float64Array.of(9, 8, 7, 6, 5, 4, 3)];

  const tensor = windowTensor(readings, 1, layout);

  expect([...(tensor.data as Float32Array)]).toEqual([2, 8, 3, 7, 4, 6]);
  expect(readingsOf(tensor, layout)).toEqual(readings.map((values) => values.slice(1, 4)));
  expect(windowsOf(readings, layout).map(({ name }) => name)).toEqual([
    ...["readings 1 to 3", "readings 4 to 6"],
  ]);
  expect(() => windowsOf([Float64Array.of(1)], layout)).toThrow("1 readings where the model");
});

test("files are read within bounds", async () => {
  const huge = new File([], "huge.csv");
  Object.defineProperty(huge, "size", { value: 300 * 2 ** 20 });

  await expect(bytesOf(new File([], "none.png"))).rejects.toThrow("none.png is empty");
  await expect(bytesOf(huge)).rejects.toThrow("huge.csv has 300 MB; 64 MB are read.");
  await expect(textOf(new File([Uint8Array.of(0xff, 0xfe)], "a.csv"))).rejects.toThrow("UTF-8");
});

test("a bad file among many is an item that says why", async () => {
  const files = [new File(["1"], "good.csv"), new File([], "bad.csv")];

  const items = await itemsOf(files, async (file) => {
    await bytesOf(file);
    return [{ name: file.name, inputs: {} }];
  });

  expect(items).toEqual([
    { name: "good.csv", inputs: {} },
    { name: "bad.csv", inputs: {}, problem: "bad.csv is empty: it has 0 bytes." },
  ]);
});

test("a sound's rate stands in its unit", () => {
  const audio = spec([-1, 1, 4000], { name: "audio", unit: "-1 to 1 at 8000 Hz" });
  expect(soundLayout(audio)).toEqual({
    ...{ name: "audio", shape: [1, 1, 4000], rate: 8000, samples: 4000 },
  });
  expect(soundLayout(spec([-1, 2, 4000], { unit: "at 8000 Hz" }))).toBeNull();
});
