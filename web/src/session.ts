/**
 * One bundle at work in a worker: the engine answers first and names what it says by itself;
 * Python starts after it, and from then on checks, counts and has the last word.
 */

import { check, named } from "./answers";
import { openBundle } from "./bundle";
import type { Tensors } from "./contract";
import { type Engine, type EngineModule, isFormat, MODULES, message, PLAIN } from "./engines/engine";
import { Fetcher } from "./integrity";
import type { EngineChoice, Prediction, Requests, Started } from "./messages";
import { fetchPackage, largestDifference, type Package } from "./package";
import type { Python } from "./python";
import { EdgeError } from "./read";
import { type Flushed, NO_TELEMETRY, type Outbox, outboxOf } from "./telemetry";

type Ready = Requests["python"]["result"];

const NOTHING: Flushed = { sent: 0, left: 0 };

export class Session {
  readonly #outbox: Outbox;
  #python: Python | null = null;
  #device: string | null = null; // set while the visitor agrees
  #ready: Promise<Ready> | null = null;

  private constructor(
    private readonly base: URL,
    private readonly fetcher: Fetcher,
    private readonly started: Started,
    private readonly packed: Package,
    private readonly engine: Engine,
  ) {
    this.#outbox = outboxOf(base, started.bundle.telemetry);
  }

  /** From here on the worker's own `fetch` compares every file of the bundle with its hash. */
  static async start(base: URL, choice: EngineChoice | null): Promise<[Session, Started]> {
    const fetcher = new Fetcher(base, fetch.bind(self));
    const [bytes, proof] = await Promise.all([
      fetcher.bytes("bundle.json"),
      fetcher.bytes("bundle.sig"),
    ]);
    const { index, digest, signed, note } = await openBundle(bytes, proof);
    fetcher.trust(index.files);
    self.fetch = fetcher.fetch;
    try {
      const [packed, module] = await Promise.all([
        fetchPackage(fetcher),
        engineModule(fetcher, index.engine),
      ]);
      const { manifest, golden, profile, model } = packed;
      if (!isFormat(manifest.format) || MODULES[manifest.format] !== index.engine) {
        throw new EdgeError(`No engine here runs ${manifest.format}.`, "Make the bundle again.");
      }
      const engine = await module.load(model, manifest.signature, base, choice ?? PLAIN);
      const difference = largestDifference(await engine.run(golden.inputs), golden.outputs);
      if (!(difference <= manifest.tolerance)) {
        throw new EdgeError(
          `${manifest.name} answers its golden inputs ${difference.toPrecision(3)} off here, as a ` +
            `share of their spread; ${manifest.tolerance} is allowed.`,
          "This browser computes differently: update it, or try another.",
        );
      }
      const trust = { signed, note };
      const facts = { manifest, golden, profile, bundle: index, digest, difference, trust };
      const started: Started = { ...facts, engine: engine.facts };
      return [new Session(base, fetcher, started, packed, engine), started];
    } catch (error) {
      // a library whose fetch was refused says so in its own words
      throw fetcher.refusal() ?? error;
    }
  }

  /** Settles when Python answers or never will; begins the first time it is asked. */
  ready(): Promise<Ready> {
    this.#ready ??= this.#startPython().then(
      (python) => {
        this.#python = python;
        if (this.#device !== null) python.restart(this.#device);
        return { ready: true, why: "" };
      },
      (error: unknown) => ({ ready: false, why: message(this.fetcher.refusal() ?? error) }),
    );
    return this.#ready;
  }

  async #startPython(): Promise<Python> {
    const facts = this.started.bundle.python;
    if (!facts) throw new EdgeError("This bundle has no Python in it.");
    await this.fetcher.bytes("python/python.js");
    const { Python } = await import("./python");
    return Python.start(this.base, this.packed);
  }

  async predict({ inputs, count }: Requests["predict"]["words"]): Promise<Prediction> {
    const { manifest } = this.started;
    check(manifest.signature, inputs);
    const began = performance.now();
    const outputs = await this.engine.run(inputs);
    const latencyMs = performance.now() - began;
    if (!this.#python) {
      return { answers: named(manifest, outputs), outputs, latencyMs, by: "page", note: "" };
    }
    const counted = count && this.#device !== null;
    const answers = counted
      ? this.#python.observe(inputs, outputs, latencyMs)
      : this.#python.answer(outputs);
    return { answers, outputs, latencyMs, by: "python", note: "" };
  }

  async time(runs: number): Promise<Requests["time"]["result"]> {
    const inputs = firstItem(this.started.golden.inputs);
    const ms: number[] = [];
    for (let run = 0; run < runs; run++) {
      const began = performance.now();
      await this.engine.run(inputs);
      ms.push(performance.now() - began);
    }
    return { ms };
  }

  /** What the visitor says an answer should have been; counted where he agrees to counting. */
  async feedback({ predicted, actual }: Requests["feedback"]["words"]): Promise<null> {
    if (this.#device !== null) this.#python?.feedback(predicted, actual);
    return null;
  }

  /** Counting begins anew in either case: what came before the visitor's yes is never sent. */
  async consent(device: string | null): Promise<Flushed> {
    this.#device = device;
    this.#python?.restart(device ?? "");
    if (device === null) await this.#outbox.clear();
    this.#outbox.hurry();
    return this.flush();
  }

  async flush(): Promise<Flushed> {
    if (!this.started.bundle.python) return NO_TELEMETRY;
    if (this.#device === null) return NOTHING;
    const record = this.#python?.close();
    if (record) await this.#outbox.add(record);
    return this.#outbox.flush();
  }
}

/** Fetched once through the wrapper, which compares it: an import has no hash to go by. */
async function engineModule(fetcher: Fetcher, name: "ort" | "litert"): Promise<EngineModule> {
  await fetcher.bytes(`engines/${name}.js`);
  return name === "ort" ? import("./engines/ort") : import("./engines/litert");
}

function firstItem(tensors: Tensors): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => {
      const one = [1, ...shape.slice(1)];
      const size = one.reduce((product, side) => product * side, 1);
      return [name, { shape: one, data: Array.from(data).slice(0, size) }];
    }),
  );
}
