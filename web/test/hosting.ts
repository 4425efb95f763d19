/** A host, a browser's storage and its service worker's rooms, all in memory. */

import { sha256 } from "../src/bundle";
import { Keeper, type Surroundings } from "../src/offline/keeper";
import { Desk } from "../src/offline/serving";
import { Shelf } from "../src/offline/shelf";
import { type Fetch, Taker } from "../src/offline/taking";

export type Files = Readonly<Record<string, string>>;

const encoded = (text: string) => new TextEncoder().encode(text);

const base64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));

export interface Signer {
  readonly key: string;
  sign(bytes: Uint8Array<ArrayBuffer>): Promise<string>;
}

export async function signer(): Promise<Signer> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  if (!("publicKey" in pair)) throw new TypeError("a pair was asked for");
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const identity = (await sha256(raw)).slice(0, 16);
  return {
    key: base64(raw),
    sign: async (bytes) => {
      const signed = await crypto.subtle.sign("Ed25519", pair.privateKey, bytes);
      const signature = base64(new Uint8Array(signed));
      return JSON.stringify({ schema: 1, key_id: identity, signature });
    },
  };
}

/** A signed bundle: its files with index and signature, and its digest. */
export async function bundled(files: Files, by: Signer, version = "0123456789ab") {
  const facts: Record<string, { sha256: string; size: number }> = {};
  for (const [path, content] of Object.entries(files)) {
    facts[path] = { sha256: await sha256(encoded(content)), size: encoded(content).length };
  }
  const index = encoded(
    JSON.stringify({
      ...{ schema: 1, model: "digits", version, sanderling: "0.5.0", engine: "ort" },
      ...{ accelerate: false, python: null, licences: "licences.json", key: by.key },
      ...{ telemetry: { url: "v1/records", token: "", notice: "" }, files: facts },
    }),
  );
  const papers = {
    "bundle.json": new TextDecoder().decode(index),
    "bundle.sig": await by.sign(index),
  };
  return { files: { ...files, ...papers } as Files, digest: await sha256(index) };
}

/** What it offers can change at any time, and so can its manners. */
export class Host {
  readonly asked: string[] = [];
  files: Files = {};
  /** What a file is answered with instead. */
  spoilt: Record<string, (stop: AbortSignal) => Promise<Response>> = {};

  constructor(private readonly scope: URL) {}

  readonly fetch: Fetch = async (input, init) => {
    const address = new URL(input instanceof Request ? input.url : input);
    const path = address.pathname.slice(this.scope.pathname.length) || "index.html";
    this.asked.push(path);
    const spoilt = this.spoilt[path];
    const stop = init?.signal ?? new AbortController().signal;
    if (spoilt) return Promise.race([spoilt(stop), aborted(stop)]);
    const content = this.files[path];
    if (content === undefined) return new Response("", { status: 404 });
    return new Response(content, { headers: { etag: '"1"', "content-type": "text/plain" } });
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

class MemoryCache {
  readonly entries = new Map<string, Response>();

  constructor(private readonly storage: MemoryCaches) {}

  async match(address: string) {
    return this.entries.get(address)?.clone();
  }

  async put(address: string, answer: Response) {
    if (this.storage.full) throw new DOMException("full", "QuotaExceededError");
    this.entries.set(address, answer);
  }

  async keys() {
    return [...this.entries.keys()].map((url) => ({ url }));
  }
}

export class MemoryCaches {
  readonly caches = new Map<string, MemoryCache>();
  full = false;

  async open(name: string) {
    const cache = this.caches.get(name) ?? new MemoryCache(this);
    this.caches.set(name, cache);
    return cache;
  }

  async has(name: string) {
    return this.caches.has(name);
  }

  async delete(name: string) {
    return this.caches.delete(name);
  }

  async keys() {
    return [...this.caches.keys()];
  }
}

/** One browser at one address; `restart` is what happens to a service worker every few seconds. */
export class Browser {
  readonly scope: URL;
  readonly host: Host;
  readonly around: Surroundings & { bytes: number; pages: number; time: number };
  shelf: Shelf;
  keeper: Keeper;
  desk: Desk;

  constructor(
    address = "https://host.test/app/",
    readonly storage = new MemoryCaches(),
  ) {
    this.scope = new URL(address);
    this.host = new Host(this.scope);
    const around = { bytes: 1e9, pages: 1, time: 0 };
    this.around = Object.assign(around, {
      now: () => around.time,
      room: async () => around.bytes,
      alone: async () => around.pages <= 1,
    });
    [this.shelf, this.keeper, this.desk] = this.#rooms();
  }

  restart(): void {
    [this.shelf, this.keeper, this.desk] = this.#rooms();
  }

  #rooms(): [Shelf, Keeper, Desk] {
    const shelf = new Shelf(this.scope, this.storage as unknown as CacheStorage);
    const taker = new Taker(this.host.fetch, 50);
    return [shelf, new Keeper(shelf, taker, this.around), new Desk(shelf, taker, this.host.fetch)];
  }

  /** What a page gets for a path: its text, or the status when that is an error. */
  async get(path: string, options: { mode?: string; integrity?: string } = {}) {
    const request = new Request(new URL(path, this.scope), { integrity: options.integrity ?? "" });
    // Node's Request cannot be a navigation
    const asked = new Proxy(request, {
      get: (target, name) =>
        name === "mode" && options.mode ? options.mode : Reflect.get(target, name, target),
    });
    const answer = await this.desk.respond(asked);
    return answer.ok ? answer.text() : answer.status;
  }

  /** A visit that comes to its end, with the bundle of that digest. */
  async visit(running: string) {
    await this.get("", { mode: "navigate" });
    return this.keeper.check(running);
  }

  cache(digest: string) {
    return this.storage.caches.get(this.shelf.name(digest));
  }
}
