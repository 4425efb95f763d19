/**
 * One bundle at work in a worker: the engine answers first and names what it says by itself;
 * Python starts after it, and from then on checks, counts and has the last word.
 */

import { check, named } from "./answers";
import { openBundle } from "./bundle";
import type { Signature, Tensors } from "./contract";
import {
  ENGINES,
  type Engine,
  type EngineName,
  isFormat,
  libraryOf,
  message,
  PLAIN,
} from "./engines/engine";
import { Fetcher } from "./integrity";
import type { EngineChoice, Prediction, Requests, Started } from "./messages";
import { fetchPackage, largestDifference, type Package } from "./package";
import type { Named, Python } from "./python";
import { EdgeError } from "./read";
import { type Flushed, NO_TELEMETRY, type Outbox, outboxOf } from "./telemetry";

type Ready = Requests["python"]["result"];

/** A prediction that is yet to be counted. */
interface Counted {
  readonly inputs: Tensors;
  readonly outputs: Tensors;
  readonly latencyMs: number;
}

const OWN = "worker.js"; // this very program
const SHARED = "chunks/"; // by it, the engines and Python
const NOTHING: Flushed = { sent: 0, left: 0 };
const LIBRARY = "python/stdlib.zip";
const BINARIES = ["python/pyodide.asm.wasm", LIBRARY];

export class Session {
  readonly #outbox: Outbox;
  #uncounted: Counted[] | null = []; // null when Python will never count them
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
  static async start(
    base: URL,
    choice: EngineChoice | null,
    python = false,
  ): Promise<[Session, Started]> {
    const fetcher = new Fetcher(base, fetch.bind(self));
    const [bytes, proof] = await Promise.all([
      fetcher.bytes("bundle.json"),
      fetcher.bytes("bundle.sig"),
    ]);
    const { index, digest, signed, note } = await openBundle(bytes, proof);
    fetcher.trust(index.files);
    self.fetch = fetcher.fetch;
    try {
      const loading = loadEngine(fetcher, base, index.engine, choice ?? PLAIN);
      loading.catch(() => {}); // awaited below; the package's failure goes first
      const packed = await fetchPackage(fetcher);
      const { manifest, golden, profile, model } = packed;
      if (!isFormat(manifest.format) || ENGINES[manifest.format] !== index.engine) {
        throw new EdgeError(`No engine here runs ${manifest.format}.`, "Make the bundle again.");
      }
      const make = await loading;
      if (python && index.python) {
        fetcher.ahead(...BINARIES); // the network has nothing else to do
        import("./python").catch(() => {}); // told to who starts it
      }
      const engine = await make(model, manifest.signature);
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
      throw fetcher.refusal ?? error;
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
      (error: unknown) => {
        this.#uncounted = null;
        return { ready: false, why: message(this.fetcher.refusal ?? error) };
      },
    );
    return this.#ready;
  }

  async #startPython(): Promise<Python> {
    const { bundle, manifest } = this.started;
    if (!bundle.python) throw new EdgeError("This bundle has no Python in it.");
    const scripts = ["python.js", "pyodide.mjs", "pyodide.asm.mjs"].map((name) => `python/${name}`);
    const binaries = this.fetcher.ahead(...BINARIES);
    const { Python } = await compared(import("./python"), this.fetcher.compare(...scripts));
    const starting = Python.start({
      ...this.packed,
      base: this.base,
      facts: bundle.python,
      library: bundle.files.get(LIBRARY)?.sha256 ?? "",
      signature: manifest.signature,
    });
    // Pyodide waits for ever for a file that was refused
    const [python] = await Promise.all([starting, binaries]);
    return python;
  }

  async predict({ inputs, count }: Requests["predict"]["words"]): Promise<Prediction> {
    const { manifest } = this.started;
    check(manifest.signature, inputs);
    const began = performance.now();
    const outputs = await this.engine.run(inputs);
    const latencyMs = performance.now() - began;
    if (count && this.#device !== null) this.#uncounted?.push({ inputs, outputs, latencyMs });
    const said: Named = this.#python?.answer(outputs) ?? {
      answers: named(manifest, outputs),
      note: "",
    };
    return { ...said, outputs, latencyMs, by: this.#python ? "python" : "page" };
  }

  /** Counts what was predicted; called when nobody waits for an answer. */
  count(): void {
    if (!this.#python) return; // those before it has started wait for it
    for (const { inputs, outputs, latencyMs } of this.#uncounted?.splice(0) ?? []) {
      this.#python.observe(inputs, outputs, latencyMs);
    }
  }

  async time(runs: number): Promise<Requests["time"]["result"]> {
    const { manifest, golden } = this.started;
    const inputs = firstItem(manifest.signature, golden.inputs);
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
    this.#uncounted?.splice(0);
    this.#python?.restart(device ?? "");
    if (device === null) await this.#outbox.clear();
    this.#outbox.hurry();
    return this.flush();
  }

  async flush(): Promise<Flushed> {
    if (!this.started.bundle.python) return NO_TELEMETRY;
    if (this.#device === null) return NOTHING;
    this.count();
    const record = this.#python?.close();
    if (record) await this.#outbox.add(record);
    return this.#outbox.flush();
  }
}

/** An engine without its model yet; all that it needs is on its way at once. */
async function loadEngine(fetcher: Fetcher, base: URL, name: EngineName, choice: EngineChoice) {
  const folder = `engines/${libraryOf(name, choice)}/`;
  const files = fetcher.below(folder);
  if (files.length === 0) {
    throw new EdgeError(
      `The bundle has no engine for this browser: ${folder} is not in it.`,
      "Make it again with `sanderling bundle --accelerate`.",
    );
  }
  const binaries = files.filter((path) => path.endsWith(".wasm"));
  const coming = fetcher.ahead(...binaries);
  const scripts = files.filter((path) => !path.endsWith(".wasm"));
  const importing = name === "ort" ? import("./engines/ort") : import("./engines/litert");
  // and what ran before there was a hash to go by
  const own = [OWN, ...fetcher.below(SHARED)];
  const comparing = fetcher.compare(`engines/${name}.js`, ...scripts, ...own);
  const [module] = await Promise.all([compared(importing, comparing), coming]);
  return async (model: Uint8Array<ArrayBuffer>, signature: Signature): Promise<Engine> => {
    try {
      return await module.load(model, signature, new URL(folder, base), choice);
    } catch (error) {
      await fetcher.compare(...binaries); // libraries do not say which file ended in the middle
      throw error;
    }
  };
}

/** What is imported, once its files have been compared: what is wrong with one goes first. */
async function compared<T>(importing: Promise<T>, comparing: Promise<void>): Promise<T> {
  importing.catch(() => {}); // told below
  await comparing;
  return importing;
}

function firstItem({ inputs }: Signature, tensors: Tensors): Tensors {
  return Object.fromEntries(
    inputs.map(({ name, dtype }) => {
      const { shape = [], data = [] } = tensors[name] ?? {};
      const one = [1, ...shape.slice(1)];
      const size = one.reduce((product, side) => product * side, 1);
      // as the page's own inputs come: turning doubles into floats takes a tenth of a small model's time
      const values = dtype === "float32" ? new Float32Array(data) : new Float64Array(data);
      return [name, { shape: one, data: values.subarray(0, size) }];
    }),
  );
}
