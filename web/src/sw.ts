/**
 * The service worker: makes a bundle start without its host, and takes the host's newer ones.
 *
 * A browser fetches this very script from the host without asking anyone: who controls the host
 * controls the page. What is checked here guards against damage, half copies and wrong files, and
 * keeps a browser that has a bundle from taking one with another signer.
 */

import { Keeper } from "./offline/keeper";
import { Desk } from "./offline/serving";
import { Shelf } from "./offline/shelf";
import { Taker } from "./offline/taking";
import type { Report, ToKeeper } from "./offline/words";

// the compiler knows pages or workers, not both at once: what is used here of a service worker's world
interface Lasting extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Fetching extends Lasting {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface World {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: {
    claim(): Promise<void>;
    matchAll(options: object): Promise<readonly { readonly url: string }[]>;
  };
  skipWaiting(): Promise<void>;
  oninstall: (event: Lasting) => void;
  onactivate: (event: Lasting) => void;
  onfetch: (event: Fetching) => void;
  onmessage: (event: MessageEvent & Lasting) => void;
}

const worker = self as unknown as World;
const native: typeof fetch = (input, init) => fetch(input, init);

const shelf = new Shelf(new URL(worker.registration.scope), caches);
const taker = new Taker(native);
const desk = new Desk(shelf, taker, native);
const keeper = new Keeper(shelf, taker, {
  now: () => performance.now(),
  room: async () => {
    const { quota, usage } = await navigator.storage.estimate();
    return quota === undefined ? Number.POSITIVE_INFINITY : quota - (usage ?? 0);
  },
  alone: async () => (await pages()).length <= 1,
});

// a newer service worker takes over at once: it reads what the older one kept
worker.oninstall = (event) => event.waitUntil(worker.skipWaiting());
worker.onactivate = (event) => event.waitUntil(worker.clients.claim());

worker.onfetch = (event) => {
  if (desk.takes(event.request)) event.respondWith(desk.respond(event.request));
};

// one after the other: two tabs must not store or adopt at the same time
let queue: Promise<unknown> = Promise.resolve();

worker.onmessage = (event) => {
  const turn = queue.then(() => answer(event.data as ToKeeper));
  queue = turn.catch(() => {});
  event.waitUntil(queue);
  turn.then((report) => event.ports[0]?.postMessage(report)).catch(() => {});
};

async function answer(message: ToKeeper): Promise<Report | null> {
  switch (message.kind) {
    case "check":
      // a page that was loaded past this worker cannot reach the trial's address otherwise
      await worker.clients.claim();
      return keeper.check(message.running);
    case "adopt":
      return keeper.adopt(message.digest);
    case "reject":
      await keeper.reject(message.digest, message.why);
      return null;
    case "forget":
      await shelf.forget();
      return null;
  }
}

/** The open pages of this folder; those of a folder below it are another bundle's. */
async function pages(): Promise<readonly unknown[]> {
  const clients = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  return clients.filter(({ url }) => url.startsWith(worker.registration.scope));
}
