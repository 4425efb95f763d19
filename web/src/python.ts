/**
 * Python in the browser: Pyodide with the very files that run on a device. It checks inputs,
 * counts predictions and names the answer; the engine stays in JavaScript, so that a prediction
 * costs one synchronous call and nothing is awaited across the border.
 */

import { loadPyodide, type PyodideInterface } from "pyodide";
import type { PyCallable, PyProxy } from "pyodide/ffi";
import type { Tensor, Tensors } from "./contract";
import type { Answer } from "./messages";
import { EdgeError, list, number, object, text } from "./read";
import { LOCK } from "./versions";

export interface BridgeTexts {
  readonly manifestText: string;
  readonly profileText: string;
}

// without leave to compile WebAssembly Pyodide waits for ever instead of failing
const START_LIMIT_MS = 90_000;

export class Python {
  private constructor(
    private readonly pyodide: PyodideInterface,
    private readonly bridge: PyProxy,
  ) {}

  /** `base` is the folder that holds `python/`. */
  static async start(base: URL, texts: BridgeTexts): Promise<Python> {
    const folder = new URL("python/", base).href;
    const pyodide = await withLimit(
      loadPyodide({
        indexURL: folder,
        stdLibURL: `${folder}stdlib.zip`,
        lockFileContents: LOCK, // names no package, so that nothing is fetched by accident
        packageBaseUrl: folder,
        stdout: () => {}, // the page speaks for itself; Python's prints have no reader here
        stderr: () => {},
      }),
      START_LIMIT_MS,
    );
    const Bridge = pyodide.pyimport("edge_targets.runtime.bridge").Bridge as PyCallable;
    return new Python(
      pyodide,
      guarded(() => Bridge(texts.manifestText, texts.profileText) as PyProxy),
    );
  }

  /** Count a prediction and name its answers, one an item. */
  observe(inputs: Tensors, outputs: Tensors, latencyMs: number): Answer[] {
    return readAnswers(this.#call("observe", inputs, outputs, latencyMs));
  }

  /** Name the answers without counting: for a drawing that is still being made. */
  answer(outputs: Tensors): Answer[] {
    return readAnswers(this.#call("answer", outputs));
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

/** Arrays of doubles become one memory view each in Python, not a list of objects. */
function doubles(tensors: Tensors): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => [
      name,
      { shape: [...shape], data: Float64Array.from(data) },
    ]),
  );
}

function readAnswers(value: unknown): Answer[] {
  return list((item, where) => {
    const { label, confidence, abstained } = object(item, where);
    return {
      ...(label === undefined ? {} : { label: text(label, `${where}.label`) }),
      ...(confidence === undefined
        ? {}
        : { confidence: number(confidence, `${where}.confidence`) }),
      ...(abstained === true ? { abstained } : {}),
    };
  })(JSON.parse(text(value, "answers")), "answers");
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

async function withLimit<T>(work: Promise<T>, limitMs: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const hint = "The server must allow 'wasm-unsafe-eval' in its content security policy.";
      reject(new EdgeError(`Python did not start within ${limitMs / 1000} s.`, hint));
    }, limitMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
