/**
 * A model in the page: its bundle is opened in a worker, which answers. People's own pages use
 * `load` (sanderling.ts); the demo page uses `openModel`, which tells of more.
 */

import { Client } from "./client";
import type { Signature, Tensor, Tensors } from "./contract";
import { type Input, toTensors } from "./inputs/convert";
import type {
  Answer,
  EngineChoice,
  EngineFacts,
  Prediction,
  Stage,
  Started,
  Trust,
} from "./messages";
import { EdgeError } from "./read";
import { scriptAddress } from "./scripts";
import type { Flushed } from "./telemetry";
import { agree, disagree, onDisagreed } from "./visitor";

export type { Input };

const WINDOW_MS = 60_000; // one record a minute at most

export type Answered = Answer & {
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly latencyMs: number;
};

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

export interface Opening {
  readonly signal?: AbortSignal;
  readonly engine?: EngineChoice; // of a bundle that brings several
  readonly onStage?: (stage: Stage, ms: number) => void;
}

/** Opens the bundle whose folder is `base`; resolves when its engine has answered. */
export async function openModel(base: URL, options: Opening = {}): Promise<OpenedModel> {
  options.signal?.throwIfAborted();
  const client = new Client(startWorker(base), options.onStage ?? (() => {}));
  const aborted = () => client.close();
  options.signal?.addEventListener("abort", aborted, { once: true });
  try {
    const { engine = null } = options;
    const started = await client.ask("start", { base: base.href, engine, python: true });
    return new OpenedModel(client, started, base);
  } catch (error) {
    client.close();
    options.signal?.throwIfAborted();
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", aborted);
  }
}

export class OpenedModel implements Model {
  readonly ready: Promise<boolean>;
  #sending: AbortController | null = null; // while the visitor agrees

  constructor(
    readonly client: Client,
    readonly started: Started,
    private readonly base: URL,
  ) {
    this.ready = client.ask("python", {}).then(
      ({ ready }) => ready,
      () => false, // closed before Python came
    );
  }

  get name(): string {
    return this.started.manifest.name;
  }

  get version(): string {
    return this.started.manifest.version;
  }

  get labels(): readonly string[] {
    return this.signature.labels;
  }

  get signature(): Signature {
    return this.started.manifest.signature;
  }

  get engine(): EngineFacts {
    return this.started.engine;
  }

  get trust(): Trust {
    return this.started.trust;
  }

  async predict(input: Input): Promise<Answered> {
    const inputs = await toTensors(input, this.signature);
    const { answers, outputs, latencyMs } = await this.predictBatch(inputs);
    return { ...answers[0], outputs, latencyMs };
  }

  predictBatch(inputs: Tensors, count = true): Promise<Prediction> {
    return this.client.ask("predict", { inputs, count });
  }

  /** `tell` hears of every sending after this one. */
  share(agreed: boolean, tell: (flushed: Flushed) => void = () => {}): Promise<Flushed> {
    this.#sending?.abort();
    if (agreed) this.#send(tell);
    else disagree(this.base);
    return this.client.ask("consent", { device: agreed ? agree(this.base) : null });
  }

  /** Once a minute, and when the page is put away, as it may never come back. */
  #send(tell: (flushed: Flushed) => void): void {
    const sending = new AbortController();
    const { signal } = sending;
    const flush = () => this.client.ask("flush", {}).then(tell, () => {}); // or the model was closed
    const timer = setInterval(flush, WINDOW_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    document.addEventListener("visibilitychange", () => document.hidden && flush(), { signal });
    onDisagreed(this.base, () => void this.share(false).catch(() => {}), signal);
    this.#sending = sending;
  }

  close(): void {
    this.#sending?.abort();
    this.client.close();
  }
}

export function startWorker(base: URL): Worker {
  const address = new URL("worker.js", base);
  if (address.origin !== location.origin) {
    throw new EdgeError(
      `A browser runs no worker of another host: ${address.origin}.`,
      "Copy the bundle to the host of this page.",
    );
  }
  return new Worker(scriptAddress(address), { type: "module" });
}

/** `digits`, `digits/` and `digits/index.html` are one bundle. */
export function folder(url: string | URL): URL {
  const address = new URL(url, document.baseURI);
  const last = address.pathname.split("/").at(-1) ?? "";
  if (!last.includes(".") && !address.pathname.endsWith("/")) address.pathname += "/";
  return new URL(".", address);
}
