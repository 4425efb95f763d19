/** Runs the model: ONNX Runtime compiled to WebAssembly, on one thread. */

import * as ort from "onnxruntime-web/wasm";
import type { Signature, Tensor, Tensors } from "./contract";
import { EdgeError } from "./read";

type Values = ort.Tensor.DataType;

// a session refuses a second run while one is under way; the worker sends them one by one
export class Engine {
  private constructor(
    private readonly session: ort.InferenceSession,
    private readonly signature: Signature,
  ) {}

  /** `base` is the folder that holds `ort/`; the bytes are an ONNX file's. */
  static async load(model: Uint8Array, signature: Signature, base: URL): Promise<Engine> {
    // two threads gain little, lose much on a busy machine, and need cross-origin isolation
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = {
      mjs: new URL("ort/ort-wasm-simd-threaded.mjs", base).href,
      wasm: new URL("ort/ort-wasm-simd-threaded.wasm", base).href,
    };
    ort.env.logLevel = "error";
    try {
      const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
      return new Engine(session, signature);
    } catch (error) {
      throw new EdgeError(
        `ONNX Runtime cannot load the model: ${error instanceof Error ? error.message : error}`,
        "Build the model again, or try another browser.",
      );
    }
  }

  async run(inputs: Tensors): Promise<Record<string, Tensor>> {
    const feeds: Record<string, ort.Tensor> = {};
    for (const spec of this.signature.inputs) {
      const tensor = inputs[spec.name];
      if (!tensor) throw new EdgeError(`The input ${spec.name} is missing.`);
      feeds[spec.name] = toOrt(tensor, spec.dtype);
    }
    const names = this.signature.outputs.map((spec) => spec.name);
    const found = await this.session.run(feeds, names);
    return Object.fromEntries(names.map((name) => [name, fromOrt(found[name], name)]));
  }
}

function toOrt({ data, shape }: Tensor, dtype: string): ort.Tensor {
  const values = Array.from(data);
  switch (dtype) {
    case "float32":
      return new ort.Tensor("float32", Float32Array.from(values), shape);
    case "float64":
      return new ort.Tensor("float64", Float64Array.from(values), shape);
    case "int32":
      return new ort.Tensor("int32", Int32Array.from(values), shape);
    case "int64":
      return new ort.Tensor("int64", BigInt64Array.from(values, toBigInt), shape);
    case "uint8":
      return new ort.Tensor("uint8", Uint8Array.from(values), shape);
    case "int8":
      return new ort.Tensor("int8", Int8Array.from(values), shape);
    case "bool":
      return new ort.Tensor("bool", Uint8Array.from(values, Number), shape);
    default:
      throw new EdgeError(
        `This page cannot feed values of type ${dtype}.`,
        "Export the model with float32 inputs.",
      );
  }
}

function fromOrt(tensor: ort.Tensor | undefined, name: string): Tensor {
  if (!tensor) throw new EdgeError(`The model gave no output ${name}.`);
  return { shape: tensor.dims, data: Float64Array.from(tensor.data as Iterable<Values>, Number) };
}

function toBigInt(value: number): bigint {
  return BigInt(Math.trunc(value));
}
