/** Runs a TFLite model: LiteRT compiled to WebAssembly. */

import {
  type CompiledModel,
  Tensor as LiteRtTensor,
  loadAndCompile,
  loadLiteRt,
  type TypedArray,
} from "@litertjs/core";
import type { Signature, Tensor, TensorSpec, Tensors } from "../contract";
import type { EngineChoice, EngineFacts } from "../messages";
import { EdgeError } from "../read";
import { VERSIONS } from "../versions";
import { type Engine, message } from "./engine";

const BUILDS: Readonly<Record<string, string>> = {
  litert: "litert_wasm_internal",
  "litert-compat": "litert_wasm_compat_internal",
  "litert-gpu": "litert_wasm_jspi_internal",
  "litert-threads": "litert_wasm_threaded_internal",
};

// a page loads the library once, and models as often as it likes
let starting: Promise<unknown> | null = null;

/** `library` is the folder with the build for the choice; the bytes are a TFLite file's. */
export async function load(
  model: Uint8Array<ArrayBuffer>,
  signature: Signature,
  library: URL,
  choice: EngineChoice,
): Promise<Engine> {
  const { accelerator, threads } = choice;
  const build = BUILDS[library.pathname.split("/").at(-2) ?? ""];
  try {
    starting ??= withGpu(accelerator === "webgpu", () =>
      loadLiteRt(new URL(`${build}.js`, library).href),
    );
    starting.catch(() => {
      starting = null;
    });
    await starting;
    const compiled = await loadAndCompile(model, {
      accelerator,
      cpuOptions: { numThreads: threads },
      gpuOptions: { precision: "fp32" }, // half precision would give other answers
    });
    const facts = { accelerator, threads, name: "LiteRT.js", version: VERSIONS.litert };
    return new LiteRtEngine(compiled, signature, facts);
  } catch (error) {
    throw new EdgeError(
      `LiteRT.js cannot load the model: ${message(error)}`,
      "Build the model again, or try another browser.",
    );
  }
}

/** The library takes hold of a GPU wherever there is one, also for a model that runs without. */
async function withGpu<T>(wanted: boolean, work: () => Promise<T>): Promise<T> {
  if (wanted) return work();
  Object.defineProperty(navigator, "gpu", { value: undefined, configurable: true });
  try {
    return await work();
  } finally {
    Reflect.deleteProperty(navigator, "gpu"); // the browser's own is below it
  }
}

class LiteRtEngine implements Engine {
  constructor(
    private readonly model: CompiledModel,
    private readonly signature: Signature,
    readonly facts: EngineFacts,
  ) {}

  /** Item by item: a compiled TFLite file has a fixed batch of one. */
  async run(inputs: Tensors): Promise<Tensors> {
    const count = inputs[this.signature.inputs[0]?.name ?? ""]?.shape[0] ?? 0;
    const names = this.signature.outputs.map((spec) => spec.name);
    const found = new Map<string, Collected>(names.map((name) => [name, { shape: [], rows: [] }]));
    for (let item = 0; item < count; item++) {
      const answers = await this.#answer(inputs, item);
      try {
        for (const [name, collected] of found) {
          const answer = answers[name];
          if (!answer) throw new EdgeError(`The model gave no output ${name}.`);
          collected.rows.push(await answer.data());
          collected.shape = Array.from(answer.type.layout.dimensions).slice(1);
        }
      } finally {
        free(answers);
      }
    }
    return Object.fromEntries([...found].map(([name, one]) => [name, joined(one, count)]));
  }

  async #answer(inputs: Tensors, item: number): Promise<Record<string, LiteRtTensor>> {
    const feeds: Record<string, LiteRtTensor> = {};
    try {
      for (const spec of this.signature.inputs) {
        const tensor = inputs[spec.name];
        if (!tensor) throw new EdgeError(`The input ${spec.name} is missing.`);
        feeds[spec.name] = feed(tensor, item, spec);
      }
      return await this.model.run(feeds);
    } finally {
      free(feeds);
    }
  }
}

interface Collected {
  shape: readonly number[]; // of one item
  readonly rows: TypedArray[];
}

function joined({ shape, rows }: Collected, count: number): Tensor {
  const data = new Float64Array(rows.reduce((size, row) => size + row.length, 0));
  let place = 0;
  for (const row of rows) {
    data.set(row, place);
    place += row.length;
  }
  return { shape: [count, ...shape], data };
}

/** Its memory is WebAssembly's, which no garbage collector sees. */
function free(tensors: Readonly<Record<string, LiteRtTensor>>): void {
  for (const tensor of Object.values(tensors)) tensor.delete();
}

function feed({ shape, data }: Tensor, item: number, spec: TensorSpec): LiteRtTensor {
  const one = [1, ...shape.slice(1)];
  const size = one.reduce((product, side) => product * side, 1);
  const values = typed(spec.dtype, size);
  values.set(part(data, item * size, size));
  return new LiteRtTensor(values, one);
}

/** Of typed arrays a view: copying value by value takes longer than a small model. */
function part(data: ArrayLike<number>, from: number, size: number): ArrayLike<number> {
  if (data instanceof Float32Array || data instanceof Float64Array) {
    return data.subarray(from, from + size);
  }
  return Array.from({ length: size }, (_, i) => data[from + i] ?? 0);
}

/** The engine knows no other types. */
function typed(dtype: string, size: number): TypedArray {
  switch (dtype) {
    case "float32":
      return new Float32Array(size);
    case "int32":
      return new Int32Array(size);
    case "uint8":
      return new Uint8Array(size);
    default:
      throw new EdgeError(
        `LiteRT.js takes no values of type ${dtype}.`,
        "Export the model with float32 inputs.",
      );
  }
}
