/** The module worker: engine, Python and telemetry, away from the page so that drawing stays smooth. */

import type { FromWorker, Requests, Stage, ToWorker } from "./messages";
import { EdgeError } from "./read";
import { allowScriptsBelow } from "./scripts";
import { Session } from "./session";

allowScriptsBelow(new URL("./", import.meta.url));

const COUNT_MS = 200; // after a question: whoever asks many at once is answered first

let session: Session | null = null;
let began = 0;
let named = false; // whether it was reported that Python names the answers
let queue: Promise<unknown> = Promise.resolve();
let counting = false; // in a while

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
    began = performance.now();
    const { base, engine, python } = message.words;
    const [opened, facts] = await Session.start(new URL(base), engine, python);
    session = opened;
    report("engine", began);
    return { result: facts };
  }
  if (!session) throw new EdgeError("The model is not loaded.", "Reload the page.");
  switch (message.kind) {
    case "python":
      return { result: startPython(session) };
    case "predict":
      countLater();
      return { result: await session.predict(message.words) };
    case "time":
      return { result: await session.time(message.words.runs) };
    case "feedback":
      return { result: session.feedback(message.words) };
    case "consent":
      return { result: session.consent(message.words.device) };
    case "flush":
      return { result: session.flush() };
  }
}

/** One timer for many questions: one for each costs more than what Python does. */
function countLater(): void {
  if (counting) return;
  counting = true;
  setTimeout(() => {
    counting = false;
    session?.count();
  }, COUNT_MS);
}

/** Begins when it is asked for: an engine that is only timed needs no Python. */
async function startPython(opened: Session): Promise<Requests["python"]["result"]> {
  await new Promise((resolve) => setTimeout(resolve)); // what the page asks at once goes first
  const python = await opened.ready();
  if (python.ready && !named) report("python", began);
  named = python.ready;
  return python;
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
