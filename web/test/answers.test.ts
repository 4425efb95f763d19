import { describe, expect, it } from "vitest";
import vectors from "../../tests/golden/answers.json";
import manifestJson from "../../tests/golden/manifest.json";
import { check, named } from "../src/answers";
import { readManifest, type Tensors } from "../src/contract";

// tests/web/test_bridge.py reads the same vectors: both languages must say the same
const golden = readManifest(manifestJson);

function tensors(shapes: Readonly<Record<string, readonly number[]>>): Tensors {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const size = shape.reduce((product, side) => product * side, 1);
      return [name, { shape, data: new Float32Array(size) }];
    }),
  );
}

describe("what the numbers say", () => {
  it("is what Python says of the same numbers: ties, no numbers and abstention", () => {
    const { labels, threshold, rows } = vectors;
    const abstention = { threshold, risk: 0, certainty: 0, coverage: 0, items: 0, extra: {} };
    const signature = { ...golden.signature, labels };
    const data = rows.flatMap(({ shares }) => shares.map((share) => share ?? Number.NaN));
    const name = signature.outputs[0]?.name ?? "";

    const answers = named(
      { ...golden, signature, abstention },
      { [name]: { shape: [rows.length, labels.length], data } },
    );

    const expected = rows.map(({ answer }) => ({
      ...answer,
      confidence: answer.confidence ?? Number.NaN,
    }));
    expect(answers).toEqual(expected);
  });

  it("is nothing but the numbers where a model has no classes", () => {
    const signature = { ...golden.signature, labels: [] };
    const name = signature.outputs[0]?.name ?? "";

    const answers = named({ ...golden, signature }, { [name]: { shape: [2, 1], data: [1, 2] } });

    expect(answers).toEqual([{}, {}]);
  });
});

describe("inputs", () => {
  it.each(vectors.shapes)("of $given for $wanted are taken as on a device", (vector) => {
    const inputs = Object.entries(vector.wanted).map(([name, shape]) => ({
      ...{ name, shape, dtype: "float32", meaning: "", unit: "", columns: [], extra: {} },
    }));

    const checking = () => check({ ...golden.signature, inputs }, tensors(given(vector.given)));

    if (vector.refused) expect(checking).toThrow(vector.refused);
    else expect(checking).not.toThrow();
  });

  it("must have as many values as their shape says", () => {
    const [spec] = golden.signature.inputs;
    const shape = (spec?.shape ?? []).map((size) => (size === -1 ? 1 : size));

    const checking = () =>
      check(golden.signature, { [spec?.name ?? ""]: { shape, data: [1, 2, 3] } });

    expect(checking).toThrow("holds 3 values");
  });
});

function given(shapes: object): Record<string, readonly number[]> {
  return Object.fromEntries(Object.entries(shapes).filter(([, shape]) => shape !== undefined));
}
