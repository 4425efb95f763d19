/**
 * Python in the browser: Pyodide with the very files that run on a device. It counts predictions
 * and names the answer; the engine stays in JavaScript, so that a prediction costs one synchronous
 * call and nothing is awaited across the border.
 */

import { loadPyodide, type PyodideInterface } from "pyodide";
import type { PyBuffer, PyCallable, PyProxy } from "pyodide/ffi";
import type { PythonFacts } from "./bundle";
import type { Signature, Tensors } from "./contract";
import type { Answer } from "./messages";
import { addPackages } from "./packages";
import { EdgeError, type Fields, list, number, object, others, text } from "./read";
import { SnapshotStore } from "./snapshot";
import { LOCK, VERSIONS } from "./versions";
import { within } from "./within";

/** What Python is told of the bundle. */
export interface Surroundings {
  readonly base: URL; // the folder that holds `python/`
  readonly facts: PythonFacts;
  readonly library: string; // sha256 of its zip
  readonly signature: Signature;
  readonly manifestText: string;
  readonly profileText: string;
}

export interface Named {
  readonly answers: readonly Answer[];
  readonly note: string; // why the bundle's own Python did not have its say
}

/** Where outputs are written, in Python's memory. */
interface Place {
  readonly shapes: string;
  readonly proxy: PyProxy;
  buffer: PyBuffer;
}

// without leave to compile WebAssembly Pyodide waits for ever instead of failing
const START_LIMIT_MS = 90_000;
const IMPORT = "from edge_targets.runtime.bridge import Bridge";
const LATER_MS = 2_000; // after the start: the visitor comes first

export class Python {
  #place: Place | null = null;
  readonly #answer: PyCallable;

  private constructor(
    private readonly pyodide: PyodideInterface,
    private readonly bridge: PyProxy,
    private readonly signature: Signature,
  ) {
    this.#answer = bridge.answer as PyCallable;
  }

  static async start(surroundings: Surroundings): Promise<Python> {
    const { base, facts, library, signature, manifestText, profileText } = surroundings;
    const folder = new URL("python/", base);
    const store = new SnapshotStore(base, `${VERSIONS.pyodide}-${library.slice(0, 16)}`);
    const starting = quickest(options(folder, facts), store);
    const late = new EdgeError(
      `Python did not start within ${START_LIMIT_MS / 1000} s.`,
      "The server must allow 'wasm-unsafe-eval' in its content security policy.",
    );
    const pyodide = await within(starting, START_LIMIT_MS, late);
    await addPackages(pyodide, facts.packages);
    const Bridge = pyodide.globals.get("Bridge") as PyCallable;
    const bridge = guarded(() => Bridge(manifestText, profileText, "", facts.after) as PyProxy);
    return new Python(pyodide, bridge, signature);
  }

  /** What the outputs say, one answer an item; nothing is counted. */
  answer(outputs: Tensors): Named {
    const none = { shape: [0], data: [] };
    const tensors = this.signature.outputs.map(({ name }) => outputs[name] ?? none);
    const shapes = JSON.stringify(tensors.map(({ shape }) => shape));
    const room = this.#room(shapes);
    let at = 0;
    for (const { data } of tensors) {
      room.set(data, at);
      at += data.length;
    }
    const said = guarded(() => this.#answer() as unknown);
    if (said !== "") return readNamed(said);
    const verdicts = this.#room(shapes).subarray(at);
    const items = tensors[0]?.shape[0] ?? 0;
    return { answers: Array.from({ length: items }, (_, i) => this.#told(verdicts, i)), note: "" };
  }

  /** As `bridge.py` writes it: place of the label, confidence, 1 if abstained from. */
  #told(verdicts: Float64Array, item: number): Answer {
    const [place, confidence, abstained] = verdicts.subarray(3 * item, 3 * item + 3);
    if (place === undefined || confidence === undefined) return {}; // the model has no classes
    const answer = { label: this.signature.labels[place] ?? "", confidence };
    return abstained ? { ...answer, abstained: true } : answer;
  }

  /** Count a prediction. */
  observe(inputs: Tensors, outputs: Tensors, latencyMs: number): void {
    this.#call("observe", inputs, outputs, latencyMs);
  }

  /** Count what a person says an answer should have been. */
  feedback(predicted: string, actual: string): void {
    this.#call("feedback", predicted, actual);
  }

  /** Forget what was counted, and count from now on in the name of `device`. */
  restart(device: string): void {
    this.#call("restart", device);
  }

  /** End the window; its record as JSON, or nothing when nothing was predicted in it. */
  close(): string {
    return text(this.#call("close"), "record");
  }

  /** Python's own array for outputs of these shapes: what is written there need not be handed over. */
  #room(shapes: string): Float64Array {
    if (this.#place?.shapes !== shapes) {
      this.#place?.buffer.release();
      this.#place?.proxy.destroy();
      const proxy = this.#call("place", shapes) as PyProxy & { getBuffer(type: "f64"): PyBuffer };
      this.#place = { shapes, proxy, buffer: proxy.getBuffer("f64") };
    } else if (this.#place.buffer.data.length === 0 && shapes !== "[]") {
      // WebAssembly's memory has grown since, and so has moved
      const proxy = this.#place.proxy as PyProxy & { getBuffer(type: "f64"): PyBuffer };
      this.#place.buffer = proxy.getBuffer("f64");
    }
    return this.#place.buffer.data as Float64Array;
  }

  #call(name: string, ...words: (Tensors | string | number)[]): unknown {
    const method = this.bridge[name] as PyCallable;
    const crossing = words.map((word) =>
      typeof word === "object" ? this.pyodide.toPy(doubles(word)) : word,
    );
    try {
      return guarded(() => method(...crossing) as unknown);
    } finally {
      for (const proxy of crossing) if (typeof proxy === "object") proxy.destroy();
      method.destroy();
    }
  }
}

/** A Pyodide with our bridge imported: from a heap of an earlier visit, or started here. */
async function quickest(
  plain: ReturnType<typeof options>,
  store: SnapshotStore,
): Promise<PyodideInterface> {
  const read = await store.find();
  if (read) {
    try {
      const heap = read(); // while Pyodide's own program is loaded
      heap.catch(() => {}); // told where it is awaited
      const pyodide = await loadPyodide({ ...plain, _loadSnapshot: heap });
      letGo(pyodide);
      // two visits must not draw the same random numbers
      pyodide.runPython("import random; random.seed()");
      await store.worked();
      return pyodide;
    } catch {
      await store.remove();
    }
  }
  const pyodide = await loadPyodide({ ...plain, _makeSnapshot: true });
  guarded(() => pyodide.runPython(IMPORT));
  keep(pyodide, store);
  return pyodide;
}

/** Pyodide keeps what it was started with: the heap once more, some 30 MB for as long as it runs. */
function letGo(pyodide: PyodideInterface): void {
  const { config } = (pyodide as unknown as { _api: { config: { _loadSnapshot?: unknown } } })._api;
  delete config._loadSnapshot;
}

/** Copied now, while it has seen nothing of the visitor's; stored when there is time. */
function keep(pyodide: PyodideInterface, store: SnapshotStore): void {
  if (!("caches" in globalThis)) return;
  const heap = pyodide.makeMemorySnapshot() as Uint8Array<ArrayBuffer>;
  setTimeout(() => void store.put(heap), LATER_MS);
}

function options(folder: URL, { packages }: PythonFacts) {
  const lock = async () => (await fetch(new URL("pyodide-lock.json", folder))).text();
  return {
    indexURL: folder.href,
    stdLibURL: new URL("stdlib.zip", folder).href,
    // without packages one that names none, so that nothing is fetched by accident
    lockFileContents: packages.length > 0 ? lock() : LOCK,
    packageBaseUrl: folder.href,
    stdout: () => {}, // the page speaks for itself; Python's prints have no reader here
    stderr: () => {},
  };
}

/** Arrays of doubles become one memory view each in Python, not a list of objects. */
function doubles(tensors: Tensors): Record<string, { shape: number[]; data: Float64Array }> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => [
      name,
      { shape: [...shape], data: new Float64Array(data) },
    ]),
  );
}

function readNamed(value: unknown): Named {
  const fields = object(JSON.parse(text(value, "answers")), "answers");
  return { answers: list(readAnswer)(fields.answers, "answers"), note: text(fields.note, "note") };
}

function readAnswer(item: unknown, where: string): Answer {
  const fields = object(item, where);
  const { label, confidence, abstained } = fields;
  const extra: Fields = others(fields, ["label", "confidence", "abstained"]);
  return {
    ...(label === undefined ? {} : { label: text(label, `${where}.label`) }),
    ...(confidence === undefined ? {} : { confidence: readShare(confidence, where) }),
    ...(abstained === true ? { abstained } : {}),
    ...(Object.keys(extra).length > 0 ? { extra } : {}),
  };
}

/** JSON has no word for what is no number. */
function readShare(value: unknown, where: string): number {
  return value === null ? Number.NaN : number(value, `${where}.confidence`);
}

/** Python's errors end in a line such as `…IntegrityError: what failed`; that line is for people. */
function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const lines = error instanceof Error ? error.message.trim().split("\n") : [String(error)];
    throw new EdgeError((lines.at(-1) ?? "").replace(/^[\w.]*Error: /, ""));
  }
}
