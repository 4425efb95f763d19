import { beforeEach, describe, expect, test } from "vitest";
import type { Abstention, Manifest, Profile, Signature, Sketch, TensorSpec } from "../src/contract";
import type { Item } from "../src/inputs/card";
import { AnswerCard, spoken } from "../src/page/answer";
import { answered, joined, type Row, table } from "../src/page/batch";
import { quantile, report, timing } from "../src/page/benchmark";
import { csv } from "../src/page/csv";
import { columns, effects, heat, median, patches, segments } from "../src/page/explain";
import { table as labels } from "../src/page/feedback";
import { showUpdate } from "../src/page/state";
import { features, unlike } from "../src/page/unlike";
import { short } from "../src/page/words";
import type { UpdateState } from "../src/updates";

function spec(words: Partial<TensorSpec>): TensorSpec {
  const plain = { name: "x", shape: [-1, 2], dtype: "float32", meaning: "", unit: "" };
  return { ...plain, columns: [], extra: {}, ...words };
}

function sketch(edges: number[], counts: number[], minimum: number, maximum: number): Sketch {
  const count = counts.reduce((sum, each) => sum + each, 0);
  const middle = (minimum + maximum) / 2;
  return {
    ...{ edges, counts, nulls: 0, minimum, maximum },
    ...{ total: count * middle, squares: count * (middle ** 2 + 1) }, // a deviation of 1
  };
}

const TABLE: Signature = {
  inputs: [spec({ columns: ["width", "label"] })],
  outputs: [spec({ name: "y", shape: [-1, 2] })],
  labels: ["small", "large"],
  extra: {},
};
const PROFILE: Profile = {
  samples: 100,
  sketches: new Map([
    ["width", sketch([0, 10], [0, 100, 0], 0, 10)],
    ["x.label", sketch([0.5], [50, 50], 0, 1)], // the answer's own feature has the plain name
  ]),
  extra: {},
};
const MANIFEST: Manifest = {
  ...{ name: "boxes", version: "7", target: "browser", format: "onnx", model: "m", tolerance: 0 },
  ...{ signature: TABLE, files: new Map(), lineage: "", abstention: null, extra: {} },
};

function item(...values: number[]) {
  return { x: { shape: [1, values.length], data: values } };
}

describe("unlike the training data", () => {
  test("nothing is said of a usual item", () => {
    expect(unlike(TABLE, PROFILE, item(5, 1))).toEqual([]);
  });

  test("a value just beyond what was seen is still usual, one further out is not", () => {
    expect(unlike(TABLE, PROFILE, item(10.9, 1))).toEqual([]); // within a tenth of the range

    const [found] = unlike(TABLE, PROFILE, item(12, 1));

    expect(found).toMatchObject({ feature: "width", value: 12, outside: 1, low: 0, high: 10 });
    expect(found?.deviations).toBeCloseTo(7); // (12 - 5) / 1
  });

  test("a column that is called like the answer is found under its other name", () => {
    const names = features(TABLE, item(5, 9), 0, null).map(({ name }) => name);

    expect(names).toEqual(["width", "x.label"]);
    expect(unlike(TABLE, PROFILE, item(5, 9))).toMatchObject([{ feature: "x.label", value: 9 }]);
  });

  test("a value between two codes that training never saw is unusual", () => {
    const codes = sketch([0.5, 1.5, 2.5, 3.5], [40, 30, 0, 30, 0], 0, 3);
    const profile = { ...PROFILE, sketches: new Map([["width", codes]]) };

    expect(unlike(TABLE, profile, item(1, 0))).toEqual([]);
    expect(unlike(TABLE, profile, item(2, 0))).toHaveLength(1);
  });

  test("a missing value counts where training had none", () => {
    const [found] = unlike(TABLE, PROFILE, item(Number.NaN, 1));

    expect(found?.deviations).toBe(Number.POSITIVE_INFINITY);
    const known = { ...sketch([0, 10], [0, 100, 0], 0, 10), nulls: 3 };
    const profile = { ...PROFILE, sketches: new Map([["width", known]]) };
    expect(unlike(TABLE, profile, item(Number.NaN, 1))).toEqual([]);
  });

  test("the second item of a batch is judged by its own values", () => {
    const both = { x: { shape: [2, 2], data: [5, 1, 99, 1] } };

    expect(unlike(TABLE, PROFILE, both, 0)).toEqual([]);
    expect(unlike(TABLE, PROFILE, both, 1)).toMatchObject([{ value: 99 }]);
  });
});

describe("an explanation", () => {
  test("tells what each value adds, in a model that adds them up", async () => {
    const numbers = { ...TABLE, labels: [] };
    const ask = async ({
      x,
    }: Record<string, { shape: readonly number[]; data: ArrayLike<number> }>) => {
      const rows = Array.from({ length: x?.shape[0] ?? 0 }, (_, i) => {
        return 3 * (x?.data[2 * i] ?? 0) - (x?.data[2 * i + 1] ?? 0);
      });
      return { outputs: { y: { shape: [rows.length, 1], data: rows } } };
    };
    const parts = columns(spec({ columns: ["width", "label"] }), PROFILE);
    const told: number[] = [];

    const { signal } = new AbortController();
    const found = await effects(numbers, item(9, 1), "x", parts, ask, signal, (at) =>
      told.push(at),
    );

    // the middle width is 5 and the middle code 0: 3 (9 - 5) and -(1 - 0)
    expect(found.map(({ drop }) => drop)).toEqual([12, -1]);
    expect(told.at(-1)).toBe(1);
  });

  test("stops between two requests", async () => {
    const stop = new AbortController();
    const parts = Array.from({ length: 40 }, () => ({ name: "", places: [0], filler: 0 }));
    let asked = 0;
    const ask = async () => {
      asked += 1;
      if (asked === 2) stop.abort(); // the first one is for the whole item
      return { outputs: { y: { shape: [16, 2], data: new Float32Array(32) } } };
    };

    const work = effects(TABLE, item(1, 1), "x", parts, ask, stop.signal, () => {});

    await expect(work).rejects.toThrow();
    expect(asked).toBe(2);
  });

  test("every pixel and every reading is covered", () => {
    const layout = {
      name: "x",
      height: 9,
      width: 7,
      channels: 3,
      channelsLast: true,
      low: 0,
      high: 1,
    };
    const pixels = patches(layout, PROFILE).flatMap(({ places }) => places);
    const stretch = { name: "x", samples: 50, channels: 2, channelsLast: false };
    const readings = segments(stretch, PROFILE).flatMap(({ places }) => places);

    expect(new Set(pixels)).toEqual(new Set(Array.from({ length: 9 * 7 * 3 }, (_, i) => i)));
    expect(readings.sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  test("a value that two parts cover has the mean of their effects", () => {
    const part = (places: number[], drop: number) => ({ name: "", places, filler: 0, drop });

    expect([...heat([part([0, 1], 0.5), part([1, 2], 0.1)], 4)]).toEqual([0.5, 0.3, 0.1, 0]);
  });

  test("the middle value lies where half of them are below", () => {
    expect(median(sketch([0, 10], [0, 100, 0], 0, 10))).toBe(5);
    expect(median(sketch([0, 2, 10], [0, 50, 50, 0], 0, 10))).toBe(2);
    expect(median(sketch([0.5, 1.5], [10, 80, 10], 0, 2))).toBe(1); // codes are whole
    expect(median(undefined)).toBeNull();
  });
});

describe("many at once", () => {
  const ask = async ({ x }: Record<string, { shape: readonly number[] }>) => {
    const count = x?.shape[0] ?? 0;
    return {
      answers: Array.from({ length: count }, () => ({ label: "large", confidence: 0.75 })),
      outputs: { y: { shape: [count, 2], data: Array(count).fill([0.25, 0.75]).flat() } },
    };
  };

  async function rows(items: readonly Item[], signal = new AbortController().signal) {
    const found: Row[] = [];
    for await (const some of answered(MANIFEST, PROFILE, items, ask, signal)) found.push(...some);
    return found;
  }

  test("answers keep their order, and what could not be read says why", async () => {
    const items = Array.from({ length: 70 }, (_, i) =>
      i === 33
        ? { name: "33", inputs: {}, problem: "broken" }
        : { name: `${i}`, inputs: item(5, 1) },
    );

    const found = await rows(items);

    expect(found.map(({ name }) => name)).toEqual(items.map(({ name }) => name));
    expect(found[33]).toMatchObject({ problem: "broken", values: [] });
    expect(found[34]).toMatchObject({ problem: "", values: [0.25, 0.75], unlike: false });
  });

  test("nothing more is asked after it was stopped", async () => {
    const stop = new AbortController();
    stop.abort();

    expect(await rows([{ name: "a", inputs: item(5, 1) }], stop.signal)).toEqual([]);
  });

  test("items become one batch", () => {
    expect(joined([item(1, 2), item(3, 4)])).toEqual({
      x: { shape: [2, 2], data: new Float32Array([1, 2, 3, 4]) },
    });
  });

  test("the table has a column for each class", async () => {
    const found = await rows([
      { name: 'a, "b"', inputs: item(50, 1) },
      { name: "c", inputs: {}, problem: "too short" },
    ]);

    expect(table(TABLE, found)).toBe(
      "item,answer,confidence,abstained,small,large,unlike_training,problem\n" +
        '"a, ""b""",large,0.75,0,0.25,0.75,1,\n' +
        "c,,,,,,,too short\n",
    );
  });
});

describe("feedback", () => {
  test("of a table becomes rows that training reads", () => {
    const judged = {
      ...{ at: "2026-11-21T20:00:00.000Z", predicted: "small", confidence: 0.6 },
      ...{ actual: "large", inputs: item(5, Number.NaN) },
    };

    expect(labels(MANIFEST, [judged])).toBe(
      "width,label,label_,predicted,confidence,model,version,at\n" +
        "5,,large,small,0.6,boxes,7,2026-11-21T20:00:00.000Z\n",
    );
  });
});

describe("a measurement", () => {
  test("has quantiles as numpy has them", () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(quantile([7], 0.99)).toBe(7);
    expect(timing([1, 2, 3, 4, 5])).toEqual({ runs: 5, p50: 3, p90: 4.6, p99: 4.96 });
  });

  test("names the engine and the browser", () => {
    const engine = {
      name: "LiteRT.js",
      version: "2.5.3",
      accelerator: "wasm",
      threads: 2,
    } as const;

    expect(report("digits 7", timing([1, 1]), engine, "Browser 1")).toBe(
      "digits 7: p50 1.00 ms, p90 1.00 ms, p99 1.00 ms (2 runs)\n" +
        "LiteRT.js 2.5.3, 2 threads\nBrowser 1\n",
    );
  });
});

describe("the answer", () => {
  const prediction = (shares: number[], words = {}) => ({
    answers: [{ label: "large", confidence: Math.max(...shares), ...words }],
    outputs: { y: { shape: [1, shares.length], data: shares } },
    ...{ latencyMs: 1.234, by: "page" as const, note: "" },
  });

  function card(signature: Signature, abstention: Abstention | null = null) {
    const place = document.createElement("section");
    const made = new AnswerCard(place, signature, abstention);
    return { made, place, text: (id: string) => place.querySelector(`#${id}`)?.textContent };
  }

  test("names the class, its share and the time", () => {
    const { made, text } = card(TABLE);

    made.show(prediction([0.25, 0.75]));

    expect([text("verdict"), text("sure"), text("latency")]).toEqual([
      "large",
      "75.0 % sure",
      "1.23 ms",
    ]);
    made.clear();
    expect([text("verdict"), text("sure"), text("latency")]).toEqual([
      "–",
      "waiting for an input",
      "",
    ]);
  });

  test("is none where the model is not sure enough", () => {
    const limit = { threshold: 0.9, risk: 0.1, certainty: 0.9, coverage: 0.5, items: 9, extra: {} };
    const { made, text } = card(TABLE, limit);
    const unsure = prediction([0.25, 0.75], { abstained: true });

    made.show(unsure);

    expect(text("verdict")).toBe("No answer");
    expect(text("sure")).toBe("not sure enough: large at 75.0 %, 90.0 % needed");
    expect(spoken(unsure, TABLE)).toBe("No answer, 75.0 % sure");
  });

  test("of a thousand classes shows the likeliest, and the others when they are asked for", () => {
    const names = Array.from({ length: 1000 }, (_, i) => `class ${i}`);
    const { made, place } = card({ ...TABLE, labels: names });
    const shares = names.map((_, i) => (i === 700 ? 0.9 : i === 3 ? 0.05 : 0));

    made.show(prediction(shares));

    const shown = [...place.querySelectorAll("#bars .name")].map((name) => name.textContent);
    expect(shown).toEqual(["class 700", "class 3", "class 0", "class 1", "class 2"]);
    expect(place.querySelectorAll("details li")).toHaveLength(0);
    expect(place.querySelector("summary")?.textContent).toBe("995 other classes");
  });

  test("of a model without classes is a number with its unit, or several with their names", () => {
    const one = { ...TABLE, labels: [], outputs: [spec({ name: "y", unit: "cm" })] };
    const both = {
      ...one,
      outputs: [spec({ name: "y", unit: "cm", columns: ["width", "height"] })],
    };
    const [single, double] = [card(one), card(both)];

    single.made.show({ ...prediction([12345.678]), answers: [{}] });
    double.made.show({ ...prediction([1, 2]), answers: [{}] });

    expect(single.text("verdict")).toBe("12,346 cm");
    expect(double.text("verdict")).toBe("2 numbers");
    expect(double.text("more")).toBe("width1 cmheight2 cm");
  });

  test("says why the bundle's own Python did not have its say", () => {
    const { made, text } = card(TABLE);

    made.show({ ...prediction([0.25, 0.75]), note: "after.py failed" });

    expect(text("note")).toBe("after.py failed");
  });

  test("shows what the bundle's own Python added", () => {
    const { made, text } = card(TABLE);

    made.show(prediction([0.25, 0.75], { extra: { advice: "lift it", weight: 3 } }));

    expect(text("more")).toBe("advicelift itweight3");
  });
});

describe("what is told of updates", () => {
  const state = (words: Partial<UpdateState>): UpdateState => ({
    ...{ state: "offline", offline: true, share: 1, message: "" },
    ...words,
  });
  const chip = () => document.getElementById("stage-offline");
  const notice = () => document.getElementById("update");

  beforeEach(() => {
    document.body.innerHTML =
      '<p id="said"></p><li id="stage-offline" hidden></li>' +
      '<section id="update" hidden><span id="update-message"></span></section>';
  });

  test.each<[Partial<UpdateState>, string, string]>([
    [{ state: "storing", offline: false, share: 0.426 }, "Storing 42 %", ""],
    [{}, "Kept offline", "ready"],
    [{ state: "failed" }, "Kept offline", "ready"], // the host is away: what is kept is enough
    [{ state: "failed", offline: false }, "Not kept offline", ""],
    [{ state: "unavailable", offline: false, message: "private" }, "Not kept offline", ""],
  ])("%j is a word at the top", (words, text, className) => {
    showUpdate(state(words));

    expect([chip()?.textContent, chip()?.className, chip()?.hidden]).toEqual([
      text,
      className,
      false,
    ]);
    expect(chip()?.title).toBe(words.message ?? "");
    expect(notice()?.hidden).toBe(true);
  });

  test("a new version waits for the visitor, and one that was refused says why", () => {
    showUpdate(state({ state: "updated" }));
    expect(notice()?.textContent).toBe("A new version is ready.Reload");

    showUpdate(state({ state: "refused", message: "Signed by a stranger." }));
    expect(notice()?.textContent).toBe("Signed by a stranger.");
    expect(notice()?.hidden).toBe(false);
    expect(chip()?.textContent).toBe("Update refused");
  });

  test("at a first visit there is nothing that an update could have been of", () => {
    showUpdate(state({ state: "refused", offline: false, message: "Not whole." }));

    expect([chip()?.textContent, notice()?.textContent]).toEqual([
      "Not kept offline",
      "Not whole.",
    ]);
  });
});

test("cells are quoted where they must be, and empty where nothing is", () => {
  expect(
    csv(
      ["a", "b\n"],
      [
        ["x,y", null],
        [Number.NaN, 'z"'],
      ],
    ),
  ).toBe('a,"b\n"\n"x,y",\n,"z"""\n');
});

test("numbers are told as people write them", () => {
  expect([0, 3.25159, -12345.6, 1e-7, 2e12, Number.NaN].map(short)).toEqual([
    ...["0", "3.2516", "-12,346", "1.000e-7", "2.000e+12", "no number"],
  ]);
});
