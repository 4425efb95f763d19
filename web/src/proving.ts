/**
 * The page that `sanderling verify` drives: it runs a model file with the engine that is named.
 * No bundle holds it.
 */

import { readSignature, type Tensor } from "./contract";
import { ENGINES, type Engine, isFormat, libraryOf, PLAIN } from "./engines/engine";
import * as litert from "./engines/litert";
import * as ort from "./engines/ort";
import { EdgeError, integer, list, map, object, text } from "./read";
import { VERSIONS } from "./versions";

const MODULES = { ort, litert };
const BASE = new URL("../", location.href); // where `engines/` lies, as in a bundle

let running: Engine | null = null;

/** Load `file`, in base64, with the engine of a format. */
async function load(format: unknown, file: unknown, signature: unknown): Promise<void> {
  const name = text(format, "format");
  if (!isFormat(name)) throw new EdgeError(`No engine runs ${name}.`);
  const engine = ENGINES[name];
  const model = bytes(text(file, "file"));
  const library = new URL(`engines/${libraryOf(engine, PLAIN)}/`, BASE);
  running = await MODULES[engine].load(model, readSignature(signature), library, PLAIN);
}

/** The outputs for one batch; numbers travel as float64, little-endian, in base64. */
async function run(inputs: unknown): Promise<Record<string, unknown>> {
  if (!running) throw new EdgeError("No model is loaded.");
  const batch = Object.fromEntries(map(readPacked)(inputs, "inputs"));
  const outputs = Object.entries(await running.run(batch));
  return Object.fromEntries(outputs.map(([name, tensor]) => [name, packed(tensor)]));
}

function readPacked(value: unknown, where: string): Tensor {
  const fields = object(value, where);
  const shape = list(integer)(fields.shape, `${where}.shape`);
  const data = new Float64Array(bytes(text(fields.data, `${where}.data`)).buffer);
  return { shape, data };
}

function packed({ shape, data }: Tensor): { shape: number[]; data: string } {
  const values = Float64Array.from(data);
  return { shape: Array.from(shape), data: base64(new Uint8Array(values.buffer)) };
}

function bytes(coded: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(coded), (character) => character.charCodeAt(0));
}

function base64(data: Uint8Array): string {
  const pieces: string[] = [];
  // as arguments of one call a large array would overflow the stack
  for (let at = 0; at < data.length; at += 0x8000) {
    pieces.push(String.fromCharCode(...data.subarray(at, at + 0x8000)));
  }
  return btoa(pieces.join(""));
}

// by the format that an engine runs
const versions = { onnx: VERSIONS["onnxruntime-web"], tflite: VERSIONS.litert };
Object.assign(window, { sanderling: { load, run, versions } });
