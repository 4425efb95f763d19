/** Runs an ONNX model: ONNX Runtime compiled to WebAssembly. */

import * as ort from "onnxruntime-web/wasm";
import type { Signature, Tensor, Tensors } from "../contract";
import type { EngineChoice, EngineFacts } from "../messages";
import { EdgeError } from "../read";
import { VERSIONS } from "../versions";
import { type Engine, message } from "./engine";

type Values = ort.Tensor.DataType;

/** `base` is the folder that holds `engines/ort/`; the bytes are an ONNX file's. */
export async function load(
  model: Uint8Array<ArrayBuffer>,
  signature: Signature,
  base: URL,
  choice: EngineChoice,
): Promise<Engine> {
  ort.env.wasm.numThreads = choice.threads;
  ort.env.wasm.wasmPaths = {
    mjs: new URL("engines/ort/ort-wasm-simd-threaded.mjs", base).href,
    wasm: new URL("engines/ort/ort-wasm-simd-threaded.wasm", base).href,
  };
  ort.env.logLevel = "error";
  const facts = { ...choice, name: "ONNX Runtime Web", version: VERSIONS["onnxruntime-web"] };
  try {
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    return new OrtEngine(session, signature, facts);
  } catch (error) {
    throw new EdgeError(
      `ONNX Runtime cannot load the model: ${message(error)}`,
      "Build the model again, or try another browser.",
    );
  }
}

class OrtEngine implements Engine {
  constructor(
    private readonly session: ort.InferenceSession,
    private readonly signature: Signature,
    readonly facts: EngineFacts,
  ) {}

  async run(inputs: Tensors): Promise<Tensors> {
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
  switch (dtype) {
    case "float32":
      return new ort.Tensor("float32", Float32Array.from(data), shape);
    case "float64":
      return new ort.Tensor("float64", Float64Array.from(data), shape);
    case "int32":
      return new ort.Tensor("int32", Int32Array.from(data), shape);
    case "int64":
      return new ort.Tensor("int64", BigInt64Array.from(Array.from(data), toBigInt), shape);
    case "uint8":
      return new ort.Tensor("uint8", Uint8Array.from(data), shape);
    case "int8":
      return new ort.Tensor("int8", Int8Array.from(data), shape);
    case "bool":
      return new ort.Tensor("bool", Uint8Array.from(data, Number), shape);
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
