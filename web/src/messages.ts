/** What the page and its worker say to each other; both are ours, so the types are trusted. */

import type { Golden, Manifest, Tensor, Tensors } from "./contract";
import type { Answer } from "./python";
import type { Flushed } from "./telemetry";

export interface Prediction {
  readonly answers: readonly Answer[]; // one an item
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly latencyMs: number; // of the engine, for the whole batch
}

/** Each request is answered by its result, under the same number. */
export interface Requests {
  start: { words: { base: string }; result: Started };
  predict: { words: { inputs: Tensors; count: boolean }; result: Prediction };
  consent: { words: { device: string | null }; result: Flushed }; // null takes it back
  flush: { words: Record<string, never>; result: Flushed };
}

export interface Started {
  readonly manifest: Manifest;
  readonly golden: Golden;
  readonly difference: number; // largest, of the replayed golden outputs, in their spread
}

export type Stage = "engine" | "python";

export type ToWorker = {
  [K in keyof Requests]: { id: number; kind: K; words: Requests[K]["words"] };
}[keyof Requests];

export type FromWorker =
  | { kind: "stage"; stage: Stage; ms: number }
  | { kind: "done"; id: number; result: unknown }
  | { kind: "failed"; id: number; message: string; hint: string };
