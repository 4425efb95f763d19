/** Runs a TFLite model: LiteRT compiled to WebAssembly, on one thread. */

import {
  type CompiledModel,
  Tensor as LiteRtTensor,
  loadAndCompile,
  loadLiteRt,
  type TypedArray,
} from "@litertjs/core";
import type { Signature, Tensor, Tensors } from "./contract";
import { EdgeError } from "./read";

// a page loads the engine once, and models as often as it likes
let starting: Promise<unknown> | null = null;

export class LiteRtEngine {
  private constructor(
    private readonly model: CompiledModel,
    private readonly signature: Signature,
  ) {}

  /** `base` is the folder that holds `litert/`; the bytes are a TFLite file's. */
  static async load(file: Uint8Array, signature: Signature, base: URL): Promise<LiteRtEngine> {
    try {
      starting ??= loadLiteRt(new URL("litert/", base).href);
      await starting;
      return new LiteRtEngine(await loadAndCompile(file, { accelerator: "wasm" }), signature);
    } catch (error) {
      throw new EdgeError(
        `LiteRT.js cannot load the model: ${error instanceof Error ? error.message : error}`,
        "Build the model again, or try another browser.",
      );
    }
  }

  /** Item by item: a compiled TFLite file has a fixed batch of one. */
  async run(inputs: Tensors): Promise<Record<string, Tensor>> {
    const count = inputs[this.signature.inputs[0]?.name ?? ""]?.shape[0] ?? 0;
    const names = this.signature.outputs.map((spec) => spec.name);
    const found = new Map<string, number[]>(names.map((name) => [name, []]));
    const shapes = new Map<string, readonly number[]>();
    for (let item = 0; item < count; item++) {
      const answers = await this.#answer(inputs, item);
      for (const name of names) {
        const answer = answers[name];
        if (!answer) throw new EdgeError(`The model gave no output ${name}.`);
        const values = found.get(name) ?? [];
        for (const value of answer.toTypedArray()) values.push(value);
        shapes.set(name, Array.from(answer.type.layout.dimensions).slice(1));
      }
      for (const answer of Object.values(answers)) answer.delete();
    }
    return Object.fromEntries(
      names.map((name) => [
        name,
        {
          shape: [count, ...(shapes.get(name) ?? [])],
          data: Float64Array.from(found.get(name) ?? []),
        },
      ]),
    );
  }

  async #answer(inputs: Tensors, item: number): Promise<Record<string, LiteRtTensor>> {
    const feeds: Record<string, LiteRtTensor> = {};
    try {
      for (const spec of this.signature.inputs) {
        const tensor = inputs[spec.name];
        if (!tensor) throw new EdgeError(`The input ${spec.name} is missing.`);
        const shape = [1, ...tensor.shape.slice(1)];
        const size = shape.reduce((product, side) => product * side, 1);
        const values = Array.from({ length: size }, (_, i) => tensor.data[item * size + i] ?? 0);
        feeds[spec.name] = new LiteRtTensor(typed(values, spec.dtype), shape);
      }
      return await this.model.run(feeds);
    } finally {
      // its memory is WebAssembly's, which no garbage collector sees
      for (const feed of Object.values(feeds)) feed.delete();
    }
  }
}

/** The engine knows no other types. */
function typed(values: number[], dtype: string): TypedArray {
  switch (dtype) {
    case "float32":
      return Float32Array.from(values);
    case "int32":
      return Int32Array.from(values);
    case "uint8":
      return Uint8Array.from(values);
    default:
      throw new EdgeError(
        `LiteRT.js takes no values of type ${dtype}.`,
        "Export the model with float32 inputs.",
      );
  }
}
