/**
 * Keeps the page working without its host, and brings its updates: the service worker stores, this
 * side tries a new bundle in a hidden worker, with the engine and the Python of that very bundle.
 */

import { openModel } from "./model";
import type { Report, ToKeeper } from "./offline/words";
import { EdgeError } from "./read";
import { scriptAddress } from "./scripts";
import { removeSnapshots } from "./snapshot";
import { within } from "./within";

/** What a visitor may be told; `message` is whole sentences, and may be empty. */
export interface UpdateState {
  readonly state:
    | "storing" // `share` of it is stored
    | "offline" // all is stored, and the host has nothing newer
    | "trying" // a new version is being tried
    | "updated" // the next visit starts with the new version
    | "refused" // the host offers what is not taken
    | "failed" // the host does not answer, or the disk is full; the next visit goes on from here
    | "unavailable"; // this browser keeps nothing here
  readonly offline: boolean; // whether the next start needs no host
  readonly share: number;
  readonly message: string;
}

const ANSWER_MS = 5 * 60_000; // browsers end a service worker that is busy for longer
const TRIAL_MS = 3 * 60_000;

/**
 * Call it when everything else is done; settles when there is no more to do. `running` is the
 * digest of the bundle that answered in this page, which then needs no trial. Never rejects.
 */
export async function keepOffline(
  base: URL,
  tell: (state: UpdateState) => void,
  running = "",
): Promise<void> {
  await idle();
  let worker: ServiceWorker;
  try {
    worker = await serviceWorker(base);
  } catch (error) {
    return tell({ state: "unavailable", offline: false, share: 0, message: words(error) });
  }
  try {
    // of two tabs the second finds what the first has done
    await navigator.locks.request(turnOf(base), () => update(base, tell, running, worker));
  } catch (error) {
    const offline = navigator.serviceWorker.controller !== null;
    tell({ state: "failed", offline, share: 0, message: words(error) });
  }
}

/** Give back what this folder has stored in the browser; the next visit begins anew. */
export async function forget(base: URL): Promise<void> {
  // an update under way would store everything anew
  await navigator.locks.request(turnOf(base), async () => {
    await removeSnapshots(base);
    const registration = await navigator.serviceWorker?.getRegistration(base);
    if (!registration?.active) return;
    await ask(registration.active, { kind: "forget" });
    await registration.unregister();
  });
}

function turnOf(base: URL): string {
  return `sanderling update ${base.pathname}`;
}

async function update(
  base: URL,
  tell: (state: UpdateState) => void,
  running: string,
  worker: ServiceWorker,
): Promise<void> {
  let report = await check(worker, running);
  while (report.state === "storing") {
    tell({ ...report, state: "storing" });
    report = await check(worker, running);
  }
  if (report.state !== "candidate") return tell(told(report));
  tell({ ...report, state: "trying" });
  const digest = report.digest;
  const why = await trial(new URL(`.trial/${digest.slice(0, 16)}/`, base));
  if (why !== "") {
    await ask(worker, { kind: "reject", digest, why });
    return tell({ ...report, state: "refused", message: `An update was not taken: ${why}` });
  }
  const adopted = await ask(worker, { kind: "adopt", digest });
  tell(adopted?.state === "current" ? { ...adopted, state: "updated" } : told(adopted));
}

function told(report: Report | null): UpdateState {
  if (!report) throw new EdgeError("The service worker gave no answer.", "Reload the page.");
  const { state, offline, share, message } = report;
  return {
    state: state === "refused" || state === "failed" ? state : "offline",
    offline,
    share,
    message,
  };
}

async function check(worker: ServiceWorker, running: string): Promise<Report> {
  const report = await ask(worker, { kind: "check", running });
  if (!report) throw new EdgeError("The service worker gave no answer.", "Reload the page.");
  return report;
}

/**
 * Why the bundle in that folder is not fit for this browser; nothing when it is. This page asks the
 * worker of a later version: `start` and `python` must go on meaning what they mean.
 */
async function trial(folder: URL): Promise<string> {
  const stop = new AbortController();
  const opening = openModel(folder, { signal: stop.signal });
  try {
    // the start replays the golden inputs
    const work = opening.then(async ({ client, started }) => {
      const { ready, why } = await client.ask("python", {});
      return ready || started.bundle.python === null ? "" : why;
    });
    const late = new EdgeError("The new version did not answer in time.");
    return await within(work, TRIAL_MS, late);
  } catch (error) {
    return words(error);
  } finally {
    stop.abort();
    opening.then(
      (model) => model.close(),
      () => {}, // nothing was opened
    );
  }
}

async function serviceWorker(base: URL): Promise<ServiceWorker> {
  if (!globalThis.isSecureContext) {
    throw new EdgeError(
      "This address is not secure, so the browser keeps nothing for use without it.",
      "Open the page over https, or on this machine as http://localhost.",
    );
  }
  const container = navigator.serviceWorker;
  const denied = new EdgeError(
    "The browser keeps nothing of this page: storage is blocked.",
    "The page itself works; it needs its host each time.",
  );
  if (!container) throw denied;
  let registration: ServiceWorkerRegistration;
  try {
    await caches.keys(); // where storage is blocked, registering may work all the same
    registration = await container.register(scriptAddress(new URL("sw.js", base)), {
      scope: base.pathname,
      updateViaCache: "none",
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "SecurityError") throw denied;
    throw new EdgeError(`The service worker could not be started: ${words(error)}`);
  }
  return registration.active ?? activated(registration);
}

function activated(registration: ServiceWorkerRegistration): Promise<ServiceWorker> {
  const worker = registration.installing ?? registration.waiting;
  return new Promise((resolve, reject) => {
    const look = () => {
      if (worker?.state === "activated") resolve(worker);
      if (!worker || worker.state === "redundant") {
        reject(new EdgeError("The service worker could not be started.", "Reload the page."));
      }
    };
    worker?.addEventListener("statechange", look);
    look();
  });
}

function ask(worker: ServiceWorker, message: ToKeeper): Promise<Report | null> {
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise<Report | null>((resolve) => {
    port1.onmessage = ({ data }: MessageEvent<Report | null>) => resolve(data);
  });
  worker.postMessage(message, [port2]);
  const late = new EdgeError("The service worker was stopped; the next visit goes on from here.");
  return within(answer, ANSWER_MS, late).finally(() => port1.close());
}

/** Until the browser has nothing better to do. */
function idle(): Promise<void> {
  return new Promise((resolve) => {
    if ("requestIdleCallback" in globalThis)
      requestIdleCallback(() => resolve(), { timeout: 5000 });
    else setTimeout(resolve, 1000);
  });
}

function words(error: unknown): string {
  if (error instanceof EdgeError) return `${error.message} ${error.hint}`.trim();
  return error instanceof Error ? error.message : String(error);
}
