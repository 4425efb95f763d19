/** What runs a model here: each engine is a module of its own, loaded by the format that needs it. */

import type { Signature, Tensors } from "../contract";
import type { EngineChoice, EngineFacts } from "../messages";
import { EdgeError } from "../read";
import { hasRelaxedSimd, hasSimd } from "./abilities";

/** One model in one engine. It runs one batch at a time; its worker sees to that. */
export interface Engine {
  readonly facts: EngineFacts;
  /** The outputs of a batch of any size. */
  run(inputs: Tensors): Promise<Tensors>;
}

/** What a module of an engine exports. */
export interface EngineModule {
  /** `library` is the folder that `libraryOf` names, as an address. */
  load(
    model: Uint8Array<ArrayBuffer>,
    signature: Signature,
    library: URL,
    choice: EngineChoice,
  ): Promise<Engine>;
}

/** Runs everywhere; whoever has measured may know better. */
export const PLAIN: EngineChoice = { accelerator: "wasm", threads: 1 };

/** The engine for a package's format. */
export const ENGINES = { onnx: "ort", tflite: "litert" } as const;

export type EngineName = (typeof ENGINES)[keyof typeof ENGINES];

export function isFormat(name: string): name is keyof typeof ENGINES {
  return Object.hasOwn(ENGINES, name);
}

/** The folder below `engines/` with the build of an engine that runs like this. */
export function libraryOf(engine: EngineName, choice: EngineChoice): string {
  if (!hasSimd()) {
    throw new EdgeError(
      "This browser's WebAssembly has no SIMD, which the engine needs.",
      "Update the browser, or open the page in another one.",
    );
  }
  if (choice.accelerator === "webgpu") return `${engine}-gpu`;
  if (engine === "ort") return "ort"; // one build for any number of threads
  if (choice.threads > 1) return "litert-threads";
  return hasRelaxedSimd() ? "litert" : "litert-compat";
}

export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
