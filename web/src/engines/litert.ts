/** Runs a TFLite model: LiteRT compiled to WebAssembly. */

import {
  type CompiledModel,
  getGlobalLiteRt,
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

type ArrayOf = Float32ArrayConstructor | Int32ArrayConstructor | Uint8ArrayConstructor;

/** The engine knows no other types. */
const ARRAYS: Readonly<Record<string, ArrayOf>> = {
  float32: Float32Array,
  int32: Int32Array,
  uint8: Uint8Array,
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
    if (error instanceof EdgeError) throw error;
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

/** An input's place in the engine's own memory, written anew for every item. */
interface Feed {
  readonly name: string;
  readonly tensor: LiteRtTensor;
  readonly values: TypedArray; // of one item, as the engine takes them
  readonly bytes: Uint8Array; // the same
}

class LiteRtEngine implements Engine {
  readonly #feeds: readonly Feed[];

  constructor(
    private readonly model: CompiledModel,
    private readonly signature: Signature,
    readonly facts: EngineFacts,
  ) {
    const shapes = new Map(model.getInputDetails().map(({ name, shape }) => [name, shape]));
    this.#feeds = signature.inputs.map((spec) => feed(spec, shapes.get(spec.name)));
  }

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
        // their memory is WebAssembly's, which no garbage collector sees
        for (const answer of Object.values(answers)) answer.delete();
      }
    }
    return Object.fromEntries([...found].map(([name, one]) => [name, joined(one, count)]));
  }

  #answer(inputs: Tensors, item: number): Promise<Record<string, LiteRtTensor>> {
    const feeds: Record<string, LiteRtTensor> = {};
    for (const one of this.#feeds) {
      const given = inputs[one.name];
      if (!given) throw new EdgeError(`The input ${one.name} is missing.`);
      write(one, part(given.data, item * one.values.length, one.values.length));
      feeds[one.name] = one.tensor;
    }
    return this.model.run(feeds);
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

/** Made once: the engine takes longer to make a tensor than to fill it. */
function feed({ name, dtype }: TensorSpec, shape?: Int32Array): Feed {
  if (!shape) throw new EdgeError(`The model has no input ${name}.`, "Pack it again.");
  const array = ARRAYS[dtype];
  if (!array) {
    throw new EdgeError(
      `LiteRT.js takes no values of type ${dtype}.`,
      "Export the model with float32 inputs.",
    );
  }
  if (shape.some((side) => side < 0)) {
    throw new EdgeError(
      "LiteRT.js runs no model that takes any number of items at once.",
      "Build it without `--free-batch`.",
    );
  }
  const values = new array(shape.reduce((product, side) => product * side, 1));
  const tensor = new LiteRtTensor(values, shape);
  return { name, tensor, values, bytes: new Uint8Array(values.buffer) };
}

function write({ tensor, values, bytes }: Feed, given: ArrayLike<number>): void {
  const library = getGlobalLiteRt().liteRtWasm;
  const buffer = tensor.liteRtTensorBuffer;
  values.set(given);
  const place = buffer.lock(library.LiteRtTensorBufferLockMode.WRITE);
  library.HEAPU8.set(bytes, place); // read after locking: memory that grows becomes another array
  buffer.unlock();
}

/** Of typed arrays a view: copying value by value takes longer than a small model. */
function part(data: ArrayLike<number>, from: number, size: number): ArrayLike<number> {
  if (data instanceof Float32Array || data instanceof Float64Array) {
    return data.subarray(from, from + size);
  }
  return Array.from({ length: size }, (_, i) => data[from + i] ?? 0);
}
