/** Runs an ONNX model: ONNX Runtime compiled to WebAssembly. */

import type * as Ort from "onnxruntime-web/wasm";
import type { Signature, Tensor, Tensors } from "../contract";
import type { EngineChoice, EngineFacts } from "../messages";
import { EdgeError } from "../read";
import { VERSIONS } from "../versions";
import { type Engine, message } from "./engine";

type Library = typeof Ort;
type Values = Ort.Tensor.DataType;

const BUILDS = { wasm: "ort-wasm-simd-threaded", webgpu: "ort-wasm-simd-threaded.jspi" } as const;

/** `library` is the folder with the build for the choice; the bytes are an ONNX file's. */
export async function load(
  model: Uint8Array<ArrayBuffer>,
  signature: Signature,
  library: URL,
  choice: EngineChoice,
): Promise<Engine> {
  const { accelerator, threads } = choice;
  const facts = {
    accelerator,
    threads,
    name: "ONNX Runtime Web",
    version: VERSIONS["onnxruntime-web"],
  };
  try {
    const ort: Library = await (accelerator === "webgpu"
      ? import("onnxruntime-web/jspi")
      : import("onnxruntime-web/wasm"));
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.wasmPaths = {
      mjs: new URL(`${BUILDS[accelerator]}.mjs`, library).href,
      wasm: new URL(`${BUILDS[accelerator]}.wasm`, library).href,
    };
    ort.env.logLevel = "error";
    const options = { executionProviders: [accelerator] };
    return new OrtEngine(ort, await ort.InferenceSession.create(model, options), signature, facts);
  } catch (error) {
    throw new EdgeError(
      `ONNX Runtime cannot load the model: ${message(error)}`,
      "Build the model again, or try another browser.",
    );
  }
}

class OrtEngine implements Engine {
  constructor(
    private readonly ort: Library,
    private readonly session: Ort.InferenceSession,
    private readonly signature: Signature,
    readonly facts: EngineFacts,
  ) {}

  async run(inputs: Tensors): Promise<Tensors> {
    const feeds: Record<string, Ort.Tensor> = {};
    for (const spec of this.signature.inputs) {
      const tensor = inputs[spec.name];
      if (!tensor) throw new EdgeError(`The input ${spec.name} is missing.`);
      feeds[spec.name] = toOrt(this.ort, tensor, spec.dtype);
    }
    const names = this.signature.outputs.map((spec) => spec.name);
    const found = await this.session.run(feeds, names);
    return Object.fromEntries(names.map((name) => [name, fromOrt(found[name], name)]));
  }
}

function toOrt(ort: Library, { data, shape }: Tensor, dtype: string): Ort.Tensor {
  switch (dtype) {
    case "float32":
      return new ort.Tensor("float32", new Float32Array(data), shape);
    case "float64":
      return new ort.Tensor("float64", new Float64Array(data), shape);
    case "int32":
      return new ort.Tensor("int32", new Int32Array(data), shape);
    case "int64":
      return new ort.Tensor("int64", BigInt64Array.from(Array.from(data), toBigInt), shape);
    case "uint8":
      return new ort.Tensor("uint8", new Uint8Array(data), shape);
    case "int8":
      return new ort.Tensor("int8", new Int8Array(data), shape);
    case "bool":
      return new ort.Tensor("bool", Uint8Array.from(data, Number), shape);
    default:
      throw new EdgeError(
        `This page cannot feed values of type ${dtype}.`,
        "Export the model with float32 inputs.",
      );
  }
}

function fromOrt(tensor: Ort.Tensor | undefined, name: string): Tensor {
  if (!tensor) throw new EdgeError(`The model gave no output ${name}.`);
  return { shape: tensor.dims, data: Float64Array.from(tensor.data as Iterable<Values>, Number) };
}

function toBigInt(value: number): bigint {
  return BigInt(Math.trunc(value));
}
