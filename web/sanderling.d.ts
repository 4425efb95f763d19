/** A model in your own page: `const model = await load("digits/"); await model.predict(input)`. */

/** Numbers with a shape, row-major; the first axis counts the items. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

export type Tensors = Readonly<Record<string, Tensor>>;

/** What a person gives: tensors by name; or, to a model of one input, one item of its kind. */
export type Input =
  | Tensors
  | ArrayLike<number>
  | Readonly<Record<string, number | string | null>> // a row of a table by column
  | ImageBitmapSource
  | Blob
  | AudioBuffer;

/** What the model says of one item; label and confidence are missing when it is no classifier. */
export interface Answer {
  readonly label?: string;
  /** 0 to 1. */
  readonly confidence?: number;
  /** Too little confidence to act on: take it for no answer. */
  readonly abstained?: boolean;
  /** What the bundle's own Python adds. */
  readonly extra?: Record<string, unknown>;
}

export type Answered = Answer & {
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly latencyMs: number;
};

/** The answers to a batch. */
export interface Prediction {
  /** One an item. */
  readonly answers: readonly Answer[];
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Of the engine, for the whole batch. */
  readonly latencyMs: number;
  /** Who named the answers. */
  readonly by: "python" | "page";
  /** Why the bundle's own Python did not have its say; empty when it did. */
  readonly note: string;
}

/** The engine that answers, and how it runs. */
export interface EngineFacts {
  readonly name: string;
  readonly version: string;
  readonly accelerator: "wasm" | "webgpu";
  readonly threads: number;
}

/** Whether the bundle's signature was checked; `note` says why not, and is empty when it was. */
export interface Trust {
  readonly signed: boolean;
  readonly note: string;
}

export interface TensorSpec {
  readonly name: string;
  /** -1 is free: the batch. */
  readonly shape: readonly number[];
  /** numpy's name. */
  readonly dtype: string;
  readonly meaning: string;
  readonly unit: string;
  readonly columns: readonly string[];
  readonly extra: Record<string, unknown>;
}

export interface Signature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly labels: readonly string[];
  readonly extra: Record<string, unknown>;
}

/** Records that went to the collector, and those that wait. */
export interface Flushed {
  readonly sent: number;
  readonly left: number;
  /** Why none can go out from here. */
  readonly why?: string;
}

/** A model that answers. */
export interface Model {
  readonly name: string;
  readonly version: string;
  readonly labels: readonly string[];
  readonly signature: Signature;
  readonly engine: EngineFacts;
  readonly trust: Trust;
  /** Resolves once Python has started: true; or false when the bundle has none, or it failed. */
  readonly ready: Promise<boolean>;
  /** The answer to one item. */
  predict(input: Input): Promise<Answered>;
  /** The answers to a batch; `count` is false for what no visitor gave. */
  predictBatch(inputs: Tensors, count?: boolean): Promise<Prediction>;
  /** The visitor agrees that counts are sent to the bundle's collector, or takes it back. */
  share(agreed: boolean): Promise<Flushed>;
  /** Ends the worker and gives its memory back. */
  close(): void;
}

/** What failed, and what to do next. */
export declare class EdgeError extends Error {
  readonly hint: string;
  constructor(message: string, hint?: string);
}

/** Opens a bundle by its folder's address, from this page's; resolves when its engine answers. */
export declare function load(
  url: string | URL,
  options?: { readonly signal?: AbortSignal },
): Promise<Model>;

/**
 * `<sanderling-model src="digits/">`: the model's own input card and its answer; with the attribute
 * `headless` nothing to see. This module registers it.
 */
export declare class SanderlingModel extends HTMLElement {
  static readonly observedAttributes: string[];
  /** The bundle's folder. */
  src: string;
  headless: boolean;
  /** The model, once it answers; null until then. */
  readonly model: Model | null;
  /** Resolves when the model of `src` answers. */
  readonly ready: Promise<Model>;
  /** The answer to one item, which is also shown. */
  predict(input: Input): Promise<Answered>;
  /** Take back what was given, and its answer. */
  clear(): void;
  connectedCallback(): void;
  disconnectedCallback(): void;
  attributeChangedCallback(name: string, before: string | null, now: string | null): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "sanderling-model": SanderlingModel;
  }
  interface HTMLElementEventMap {
    "sanderling-ready": CustomEvent<Model>;
    "sanderling-answer": CustomEvent<Answered>;
    "sanderling-error": CustomEvent<EdgeError>;
  }
}
