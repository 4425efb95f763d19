/** What runs a model here: each engine is a module of its own, loaded by the format that needs it. */

import type { Signature, Tensors } from "../contract";
import type { EngineChoice, EngineFacts } from "../messages";

/** One model in one engine. It runs one batch at a time; its worker sees to that. */
export interface Engine {
  readonly facts: EngineFacts;
  /** The outputs of a batch of any size. */
  run(inputs: Tensors): Promise<Tensors>;
}

/** What a module of an engine exports; `base` is the folder that holds `engines/`. */
export interface EngineModule {
  load(
    model: Uint8Array<ArrayBuffer>,
    signature: Signature,
    base: URL,
    choice: EngineChoice,
  ): Promise<Engine>;
}

/** Runs everywhere; whoever has measured may know better. */
export const PLAIN: EngineChoice = { accelerator: "wasm", threads: 1 };

/** The module of the engine for a package's format, without its own libraries. */
export const MODULES = { onnx: "ort", tflite: "litert" } as const;

export function isFormat(name: string): name is keyof typeof MODULES {
  return Object.hasOwn(MODULES, name);
}

export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
