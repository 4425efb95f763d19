/** What the page and its worker say to each other; both are ours, so the types are trusted. */

import type { BundleIndex } from "./bundle";
import type { Golden, Manifest, Profile, Tensor, Tensors } from "./contract";
import type { Fields } from "./read";
import type { Flushed } from "./telemetry";

export interface EngineChoice {
  readonly accelerator: "wasm" | "webgpu";
  readonly threads: number;
}

/** The engine that answers, and how it runs. */
export interface EngineFacts extends EngineChoice {
  readonly name: string; // as its makers write it, such as "LiteRT.js"
  readonly version: string;
}

/** Whether the bundle's signature was checked; `note` says why not, and is empty when it was. */
export interface Trust {
  readonly signed: boolean;
  readonly note: string;
}

export interface Started {
  readonly manifest: Manifest;
  readonly golden: Golden;
  readonly profile: Profile;
  readonly bundle: BundleIndex;
  readonly digest: string; // sha256 of bundle.json; empty where the browser cannot compute one
  readonly engine: EngineFacts;
  readonly difference: number; // largest, of the replayed golden outputs, in their spread
  readonly trust: Trust;
}

/** What the model says of one item; label and confidence are missing when it is no classifier. */
export interface Answer {
  readonly label?: string;
  readonly confidence?: number; // 0…1
  readonly abstained?: boolean; // too little confidence for an answer
  readonly extra?: Fields; // what the bundle's own Python adds
}

export interface Prediction {
  readonly answers: readonly Answer[]; // one an item
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly latencyMs: number; // of the engine, for the whole batch
  readonly by: "python" | "page"; // who named the answers
  readonly note: string; // why the bundle's own Python did not have its say; empty when it did
}

type Nothing = Record<string, never>;

/** Each request is answered by its result, under the same number. */
export interface Requests {
  /** `python`: it will be asked for, so that its files can be on their way. */
  start: {
    words: { base: string; engine: EngineChoice | null; python?: boolean };
    result: Started;
  };
  /** Settles when Python answers, or never will: `why` says so, also for bundles without it. */
  python: { words: Nothing; result: { ready: boolean; why: string } };
  predict: { words: { inputs: Tensors; count: boolean }; result: Prediction };
  /** Of the engine alone, on the first golden item. */
  time: { words: { runs: number }; result: { ms: readonly number[] } };
  feedback: { words: { predicted: string; actual: string }; result: null };
  consent: { words: { device: string | null }; result: Flushed }; // null takes it back
  flush: { words: Nothing; result: Flushed };
}

export type Stage = "engine" | "python";

export type ToWorker = {
  [K in keyof Requests]: { id: number; kind: K; words: Requests[K]["words"] };
}[keyof Requests];

export type FromWorker =
  | { kind: "stage"; stage: Stage; ms: number }
  | { kind: "done"; id: number; result: unknown }
  | { kind: "failed"; id: number; message: string; hint: string };
