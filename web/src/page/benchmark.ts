/** Times the engine in this very browser: how long one item takes, and how evenly. */

import type { EngineFacts } from "../messages";
import { button, facts, make } from "./dom";
import { milliseconds } from "./words";

const RUNS = 100;
const STEP = 10; // runs between two looks at the clock, and at whether to stop
const LIMIT_MS = 10_000; // a large model is not run a hundred times

export interface Timing {
  readonly runs: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

export function timing(ms: readonly number[]): Timing {
  const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => quantile(ms, share));
  return { runs: ms.length, p50: p50 ?? 0, p90: p90 ?? 0, p99: p99 ?? 0 };
}

/** As numpy's: by the straight line between the two nearest. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const low = sorted[Math.floor(place)] ?? Number.NaN;
  const high = sorted[Math.ceil(place)] ?? Number.NaN;
  return low + (place - Math.floor(place)) * (high - low);
}

export function engineWords({ name, version, accelerator, threads }: EngineFacts): string {
  const how =
    accelerator === "webgpu" ? "WebGPU" : threads === 1 ? "1 thread" : `${threads} threads`;
  return `${name} ${version}, ${how}`;
}

/** What to paste into a message. */
export function report(model: string, found: Timing, engine: EngineFacts, browser: string): string {
  const times = (["p50", "p90", "p99"] as const).map(
    (name) => `${name} ${milliseconds(found[name])}`,
  );
  return `${model}: ${times.join(", ")} (${found.runs} runs)\n${engineWords(engine)}\n${browser}\n`;
}

export class BenchmarkCard {
  readonly #result = make("div", { id: "timing" });
  readonly #run = button("Measure", () => void this.#measure());
  #stopped = true;

  constructor(
    place: HTMLElement,
    private readonly model: string,
    private readonly engine: () => EngineFacts,
    private readonly time: (runs: number) => Promise<readonly number[]>,
    private readonly say: (text: string) => void,
  ) {
    const heading = make("h2", { id: "benchmark-title", textContent: "Speed" });
    const told = "How long the engine takes for one item, in this browser, now.";
    const empty = make("strong", { textContent: "Not measured yet" });
    const why = make("span", { className: "quiet", textContent: told });
    this.#result.append(make("p", { className: "empty" }, empty, why));
    place.replaceChildren(make("div", { className: "title" }, heading, this.#run), this.#result);
  }

  async #measure(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      return;
    }
    this.#stopped = false;
    this.#run.textContent = "Stop";
    const bar = make("progress", { max: RUNS, value: 0, ariaLabel: "Measuring" });
    this.#result.replaceChildren(bar);
    const began = performance.now();
    const found: number[] = [];
    try {
      await this.time(1); // the first run may still compile
      while (!this.#stopped && found.length < RUNS && performance.now() - began < LIMIT_MS) {
        found.push(...(await this.time(STEP)));
        bar.value = found.length;
      }
      this.#show(found);
    } catch (error) {
      const told = error instanceof Error ? error.message : String(error);
      this.#result.replaceChildren(make("p", { className: "bad", textContent: told }));
    }
    this.#stopped = true;
    this.#run.textContent = "Measure";
  }

  #show(ms: readonly number[]): void {
    this.#result.replaceChildren();
    if (ms.length === 0) return;
    const found = timing(ms);
    const text = report(this.model, found, this.engine(), navigator.userAgent);
    const copy = button("Copy", () => {
      navigator.clipboard
        .writeText(text)
        .then(() => this.say("Copied."))
        .catch(() => this.#result.append(make("pre", { textContent: text }))); // to copy by hand
    });
    const rows: [string, string][] = [
      ["Half of the runs within", milliseconds(found.p50)],
      ["90 of 100 within", milliseconds(found.p90)],
      ["99 of 100 within", milliseconds(found.p99)],
      ["Runs", String(found.runs)],
    ];
    this.#result.replaceChildren(facts(rows), make("div", { className: "actions" }, copy));
    this.say(`Half of the runs within ${milliseconds(found.p50)}`);
  }
}
