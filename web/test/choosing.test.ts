import { beforeEach, expect, test, vi } from "vitest";
import { contest, fastest, type Rival } from "../src/choosing/contest";
import { Memory } from "../src/choosing/findings";
import type { EngineChoice } from "../src/messages";

const TWO: EngineChoice = { accelerator: "wasm", threads: 2 };
const GPU: EngineChoice = { accelerator: "webgpu", threads: 1 };

class Runner implements Rival {
  #runs = 0;

  constructor(
    private readonly ms: (run: number) => number,
    private readonly labels = "7",
  ) {}

  async time(runs: number) {
    return Array.from({ length: runs }, () => this.ms(this.#runs++));
  }

  async answers() {
    return this.labels;
  }
}

const steady = (ms: number) => () => ms;

test("the fastest of those that answer the same is chosen", async () => {
  const rivals = new Map([
    [TWO, new Runner(steady(7))],
    [GPU, new Runner(steady(4))],
  ]);

  const signals: AbortSignal[] = [];

  const found = await contest(new Runner(steady(10)), [TWO, GPU], async (choice, over) => {
    signals.push(over);
    const rival = rivals.get(choice);
    if (!rival) throw new Error("no such engine");
    return rival;
  });

  expect(found.map(({ ratio }) => ratio)).toEqual([0.7, 0.4]);
  expect(fastest(found)).toEqual(GPU);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
});

test("another label is another model, however fast", async () => {
  const found = await contest(
    new Runner(steady(10)),
    [GPU],
    async () => new Runner(steady(1), "1"),
  );

  expect(found).toEqual([{ choice: GPU, ratio: 0, why: "It gives other answers." }]);
  expect(fastest(found)).toBeNull();
});

test("a gain below 15 % is none", async () => {
  const found = await contest(new Runner(steady(10)), [TWO], async () => new Runner(steady(8.6)));

  expect(fastest(found)).toBeNull();
});

test("slow first runs and a disturbed one do not decide", async () => {
  const warming = (run: number) => (run < 10 ? 500 : run % 9 === 0 ? 90 : 5);

  const [found] = await contest(new Runner(steady(10)), [GPU], async () => new Runner(warming));

  expect(found?.ratio).toBe(0.5);
});

test("an engine that does not start is remembered with its reason, and the others go on", async () => {
  const found = await contest(new Runner(steady(10)), [GPU, TWO], async (choice) => {
    if (choice === GPU) throw new Error("no adapter");
    return new Runner(steady(6));
  });

  expect(found[0]).toEqual({ choice: GPU, ratio: 0, why: "no adapter" });
  expect(fastest(found)).toEqual(TWO);
});

test("an engine that hangs, or fails while it is timed, is ended and remembered too", async () => {
  vi.useFakeTimers();
  const failing = new Runner(steady(6));
  failing.time = async () => {
    throw new Error("out of memory");
  };
  const signals: AbortSignal[] = [];

  const finding = contest(new Runner(steady(10)), [GPU, TWO], (choice, over) => {
    signals.push(over);
    return choice === GPU ? new Promise(() => {}) : Promise.resolve(failing);
  });
  await vi.advanceTimersByTimeAsync(120_000);
  const found = await finding;

  expect(found.map(({ why }) => why)).toEqual([
    "It did not come to an end in time.",
    "out of memory",
  ]);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  vi.useRealTimers();
});

test("nothing is remembered of others when the one in use fails", async () => {
  const running = new Runner(steady(10));
  running.answers = async () => {
    throw new Error("closed");
  };

  await expect(contest(running, [GPU], async () => new Runner(steady(6)))).rejects.toThrow(
    "closed",
  );
});

beforeEach(() => localStorage.clear());

const FINDINGS = {
  ...{ digest: "abc", chosen: GPU, begun: 1 },
  found: [{ choice: GPU, ratio: 0.5, why: "" }],
};

test("what was found survives, apart for each folder", () => {
  new Memory(new URL("https://host.test/a/"), () => localStorage).write(FINDINGS);

  const read = (path: string) =>
    new Memory(new URL(path, "https://host.test"), () => localStorage).read();
  expect(read("/a/")).toEqual(FINDINGS);
  expect(read("/b/")).toBeNull();
});

test("what cannot be read, and a storage that is blocked, are as nothing", () => {
  const base = new URL("https://host.test/a/");
  const blocked = new Memory(base, () => {
    throw new DOMException("denied", "SecurityError");
  });
  localStorage.setItem("sanderling engine /a/", '{"digest":1}');

  expect(new Memory(base, () => localStorage).read()).toBeNull();
  expect(blocked.read()).toBeNull();
  expect(blocked.write(FINDINGS)).toBe(false);
});
