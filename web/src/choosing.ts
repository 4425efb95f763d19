/**
 * Finds out which engine is the fastest here: another one is timed in a second worker, turn by
 * turn with the one in use, and must give the same answers. Counting cores says little: two
 * threads are slower than one where a core is busy, and some GPUs are slower than the CPU.
 */

import { named } from "./answers";
import { contest, fastest, type Rival } from "./choosing/contest";
import { type Findings, Memory } from "./choosing/findings";
import { Client } from "./client";
import type { EngineChoice } from "./messages";
import { type OpenedModel, type Opening, openModel, startWorker } from "./model";

const ATTEMPTS = 2; // begun without an end: a tab was closed, or the engine took it down

/** Opens a bundle with the engine that was the fastest at an earlier visit. */
export async function openFastest(base: URL, options: Opening = {}): Promise<OpenedModel> {
  const memory = memoryOf(base);
  const known = memory.read();
  if (!known?.chosen || known.begun >= ATTEMPTS) return openModel(base, options);
  memory.write({ ...known, begun: known.begun + 1 });
  try {
    const model = await openModel(base, { ...options, engine: known.chosen });
    const { digest } = model.started;
    // a new bundle is timed anew, which takes a start with the usual engine
    const none = { digest, chosen: null, found: [], begun: 0 };
    memory.write(digest === known.digest ? { ...known, begun: 0 } : none);
    return model;
  } catch {
    options.signal?.throwIfAborted();
    memory.write({ ...known, chosen: null });
    return openModel(base, options);
  }
}

/**
 * Call it when the page has nothing else to do. Settles with what the next visit goes by, or with
 * nothing when this is no moment for timing. Never rejects.
 */
export async function findFastest(running: OpenedModel, base: URL): Promise<Findings | null> {
  const { digest, bundle, engine } = running.started;
  const memory = memoryOf(base);
  const known = memory.read();
  const begun = known?.digest === digest ? known.begun : 0;
  if (known?.digest === digest && (known.found.length > 0 || begun >= ATTEMPTS)) return known;
  const usual = engine.accelerator === "wasm" && engine.threads === 1;
  const quiet = new Quiet();
  try {
    if (digest === "" || !usual || !(await quiet.holds())) return null;
    const choices = await alternatives(bundle.engine, bundle.accelerate);
    if (choices.length === 0) return null;
    // where nothing can be kept, timing would only cost power
    if (!memory.write({ digest, chosen: null, found: [], begun: begun + 1 })) return null;
    const found = await contest(rivalOf(running), choices, (choice, over) =>
      engineAlone(base, choice, over),
    );
    if (!(await quiet.holds())) return null; // browsers slow hidden pages down
    const findings = { digest, chosen: fastest(found), found, begun: 0 };
    memory.write(findings);
    return findings;
  } catch {
    return null; // the one in use failed or was closed, which has its own message
  } finally {
    quiet.end();
  }
}

function memoryOf(base: URL): Memory {
  return new Memory(base, () => localStorage);
}

/** Without Python, which takes no part. */
async function engineAlone(base: URL, engine: EngineChoice, over: AbortSignal): Promise<Rival> {
  const client = new Client(startWorker(base), () => {});
  over.addEventListener("abort", () => client.close());
  return rivalOf({ client, started: await client.ask("start", { base: base.href, engine }) });
}

function rivalOf({ client, started }: Pick<OpenedModel, "client" | "started">): Rival {
  return {
    time: async (runs) => (await client.ask("time", { runs })).ms,
    answers: async () => {
      const inputs = started.golden.inputs;
      const { outputs } = await client.ask("predict", { inputs, count: false });
      const all = named(started.manifest, outputs); // by the page for both: one has no Python
      return JSON.stringify(all.map(({ label, abstained }) => [label, abstained]));
    },
  };
}

/** What may be faster here and is in the bundle. */
async function alternatives(engine: string, accelerated: boolean): Promise<EngineChoice[]> {
  const choices: EngineChoice[] = [];
  // the usual files of ONNX Runtime know threads; those of LiteRT are others
  const threaded = globalThis.crossOriginIsolated && (accelerated || engine === "ort");
  if (threaded && navigator.hardwareConcurrency > 1) {
    choices.push({ accelerator: "wasm", threads: 2 });
    if (navigator.hardwareConcurrency >= 8) choices.push({ accelerator: "wasm", threads: 4 });
  }
  if (accelerated && (await hasWebGpu())) choices.push({ accelerator: "webgpu", threads: 1 });
  return choices;
}

async function hasWebGpu(): Promise<boolean> {
  const gpu = (navigator as { gpu?: { requestAdapter(): Promise<object | null> } }).gpu;
  // engines wait for the GPU in the middle of WebAssembly, which takes JSPI
  if (!gpu || !("Suspending" in WebAssembly)) return false;
  return (await gpu.requestAdapter().catch(() => null)) !== null;
}

/** Whether timing makes sense: the page is in view all the time, and power is no matter. */
class Quiet {
  #seen = document.visibilityState === "visible";
  readonly #watch = () => {
    if (document.visibilityState !== "visible") this.#seen = false;
  };

  constructor() {
    document.addEventListener("visibilitychange", this.#watch);
  }

  async holds(): Promise<boolean> {
    return this.#seen && !(await savesPower());
  }

  end(): void {
    document.removeEventListener("visibilitychange", this.#watch);
  }
}

const LOW_BATTERY = 0.25; // around where systems begin to save power, and to slow down

async function savesPower(): Promise<boolean> {
  interface Battery {
    readonly charging: boolean;
    readonly level: number; // 0…1
  }
  const { getBattery, connection } = navigator as {
    getBattery?: () => Promise<Battery>;
    connection?: { saveData?: boolean };
  };
  if (connection?.saveData) return true;
  const battery = await getBattery?.call(navigator).catch(() => null);
  return battery ? !battery.charging && battery.level < LOW_BATTERY : false;
}
