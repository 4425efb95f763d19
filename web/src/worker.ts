/** The module worker: engine, Python and telemetry, away from the page so that drawing stays smooth. */

import { Engine } from "./engine";
import type { FromWorker, Prediction, Requests, Stage, Started, ToWorker } from "./messages";
import { fetchPackage, largestDifference } from "./package";
import { Python } from "./python";
import { EdgeError } from "./read";
import { type Flushed, Outbox, openStore, postTo } from "./telemetry";

class Session {
  #agreed = false;

  private constructor(
    private readonly engine: Engine,
    private readonly python: Python,
    private readonly outbox: Outbox,
  ) {}

  static async start(base: URL): Promise<[Session, Started]> {
    const began = performance.now();
    const fetching = fetchPackage(base);
    const pythonStarts = Python.start(base, fetching); // the slowest part: everything beside it
    pythonStarts.catch(() => {}); // awaited below; the package's and the engine's failures go first
    const { manifest, golden, model } = await fetching;
    const engine = await Engine.load(model, manifest.signature, base);
    const difference = largestDifference(await engine.run(golden.inputs), golden.outputs);
    if (!(difference <= manifest.tolerance)) {
      throw new EdgeError(
        `${manifest.name} answers its golden inputs ${difference.toPrecision(3)} off here, as a share ` +
          `of their spread; ${manifest.tolerance} is allowed.`,
        "This browser computes differently: update it, or try another.",
      );
    }
    report("engine", began);
    const python = await pythonStarts;
    report("python", began);
    // two bundles of one origin must not send each other's records
    const store = await openStore(`sanderling ${base.pathname}`);
    const outbox = new Outbox(store, postTo(base));
    return [new Session(engine, python, outbox), { manifest, golden, difference }];
  }

  async predict({ inputs, count }: Requests["predict"]["words"]): Promise<Prediction> {
    this.python.check(inputs);
    const began = performance.now();
    const outputs = await this.engine.run(inputs);
    const latencyMs = performance.now() - began;
    const answers = count
      ? this.python.observe(inputs, outputs, latencyMs)
      : this.python.answer(outputs);
    return { answers, outputs, latencyMs };
  }

  /** Counting begins anew in either case: what came before the visitor's yes is never sent. */
  async consent(device: string | null): Promise<Flushed> {
    this.#agreed = device !== null;
    this.python.restart(device ?? "");
    if (device === null) await this.outbox.clear();
    return this.flush();
  }

  async flush(): Promise<Flushed> {
    if (!this.#agreed) return { sent: 0, left: 0 };
    const record = this.python.close();
    if (record) await this.outbox.add(record);
    return this.outbox.flush();
  }
}

let session: Session | null = null;
let queue: Promise<unknown> = Promise.resolve();

// one after the other: an engine runs one batch at a time, and a window closes between two
self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  const turn = queue.then(() => begin(data));
  queue = turn.catch(() => {});
  turn
    .then(({ result }) => result)
    .then((result) => send({ kind: "done", id: data.id, result }))
    .catch((error: unknown) => send(failed(data.id, error)));
};

/** The next message's turn comes when this is done; `result` may take longer, as sending does. */
async function begin(message: ToWorker): Promise<{ result: unknown }> {
  if (message.kind === "start") {
    const [started, facts] = await Session.start(new URL(message.words.base));
    session = started;
    return { result: facts };
  }
  if (!session) throw new EdgeError("The model is not loaded.", "Reload the page.");
  switch (message.kind) {
    case "predict":
      return { result: await session.predict(message.words) };
    case "consent":
      return { result: session.consent(message.words.device) };
    case "flush":
      return { result: session.flush() };
  }
}

function failed(id: number, error: unknown): FromWorker {
  const message = error instanceof Error ? error.message : String(error);
  return { kind: "failed", id, message, hint: error instanceof EdgeError ? error.hint : "" };
}

function report(stage: Stage, began: number): void {
  send({ kind: "stage", stage, ms: performance.now() - began });
}

function send(message: FromWorker): void {
  self.postMessage(message);
}
