/** The page's side of the worker: a request is a promise. */

import type { FromWorker, Requests, Stage, ToWorker } from "./messages";
import { EdgeError } from "./read";

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export class Client {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #closed = false;

  constructor(worker: Worker, onStage: (stage: Stage, ms: number) => void) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === "stage") return onStage(data.stage, data.ms);
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.kind === "done") waiting?.resolve(data.result);
      else waiting?.reject(new EdgeError(data.message, data.hint));
    };
    worker.onerror = (event) => {
      // the script itself failed to load or threw outside a request: nothing will be answered
      const error = new EdgeError(
        `The page's worker stopped: ${event.message ?? "it could not be loaded"}`,
        "Reload the page; if it happens again, make the bundle again.",
      );
      this.#refuse(error);
    };
  }

  /** Ends the worker; what was asked is refused. */
  close(): void {
    this.#worker.terminate();
    this.#refuse(new EdgeError("The model was closed.", "Load it again."));
    this.#closed = true;
  }

  #refuse(error: EdgeError): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  ask<K extends keyof Requests>(
    kind: K,
    words: Requests[K]["words"],
  ): Promise<Requests[K]["result"]> {
    if (this.#closed)
      return Promise.reject(new EdgeError("The model was closed.", "Load it again."));
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {
        resolve: (result) => resolve(result as Requests[K]["result"]),
        reject,
      });
      this.#worker.postMessage({ id, kind, words } as ToWorker);
    });
  }
}
