/**
 * Every file of a bundle is fetched with the hash that `bundle.json` has for it, so that the
 * browser itself refuses what was changed: also what Pyodide and the engines fetch by themselves.
 */

import { sha256 } from "./bundle";
import type { FileFact } from "./contract";
import { EdgeError } from "./read";

type Fetch = typeof fetch;

const TRIES = 3;
const PAUSE_MS = 150; // before the second try; twice as long before the third

export const AGAIN = "Copy the bundle again, or make it again with `sanderling bundle`.";

/** Fetches from one bundle, as strictly as what is known of its files allows. */
export class Fetcher {
  #files: ReadonlyMap<string, FileFact> = new Map();
  readonly #refused = new Map<string, EdgeError>();

  /** `base` is the bundle's folder; `native` is the browser's own fetch. */
  constructor(
    private readonly base: URL,
    private readonly native: Fetch,
  ) {}

  /** From now on each of these files must have its hash. */
  trust(files: ReadonlyMap<string, FileFact>): void {
    this.#files = files;
  }

  /** The bytes of a file of the bundle. */
  async bytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await (await this.#get(path)).arrayBuffer());
  }

  /** Stands in for the worker's `fetch`. Another address than the bundle's is left as it is. */
  readonly fetch: Fetch = (input, init) => {
    const path = this.#path(input);
    if (path === null || (init?.method ?? "GET") !== "GET") return this.native(input, init);
    return this.#get(path);
  };

  /** The first refusal of a file: libraries tell of their own failed fetches in other words. */
  refusal(): EdgeError | null {
    return this.#refused.values().next().value ?? null;
  }

  #path(input: RequestInfo | URL): string | null {
    if (typeof input === "object" && "method" in input && input.method !== "GET") return null;
    const address = new URL(typeof input === "object" && "url" in input ? input.url : input, this.base);
    if (!address.href.startsWith(this.base.href)) return null;
    const path = decodeURIComponent(address.pathname.slice(this.base.pathname.length));
    return this.#files.has(path) ? path : null;
  }

  async #get(path: string): Promise<Response> {
    let error = new EdgeError(`${path} could not be fetched.`, "Is the server still running?");
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if (attempt > 0) await pause(PAUSE_MS * attempt);
      const found = await this.#once(path, attempt);
      if (found instanceof Response) return found;
      error = found;
      if (this.#refused.has(path)) break; // the host gives another file: once more gives the same
    }
    this.#refused.set(path, error);
    throw error;
  }

  async #once(path: string, attempt: number): Promise<Response | EdgeError> {
    const fact = this.#files.get(path);
    const integrity = fact ? `sha256-${fromHex(fact.sha256)}` : "";
    const address = new URL(path, this.base);
    let answer: Response;
    try {
      // what a first try left behind in the browser's cache may be half a file
      const cache = attempt > 0 ? "reload" : "default";
      answer = await this.native(address, { credentials: "omit", integrity, cache });
    } catch {
      return this.#mended(path, address, integrity);
    }
    if (answer.ok) return answer;
    const failed = new EdgeError(
      `${path} could not be fetched: the server answered ${answer.status}.`,
      answer.status < 500 ? AGAIN : "Try again later.",
    );
    if (answer.status < 500) this.#refused.set(path, failed);
    return failed;
  }

  /** A fetch that failed: was it the network, or another file than the one that was bundled? */
  async #mended(path: string, address: URL, integrity: string): Promise<Response | EdgeError> {
    const away = new EdgeError(`${path} could not be fetched.`, "Is the server still running?");
    if (!integrity) return away;
    try {
      const plain = await this.native(address, { credentials: "omit" });
      if (!plain.ok) return away;
      const found = await sha256(new Uint8Array(await plain.arrayBuffer()));
      if (found === "" || found === this.#files.get(path)?.sha256) return away;
    } catch {
      return away;
    }
    try {
      // the service worker answers this one from the network, and mends what it keeps
      const fresh = new URL(`${address.href}?fresh`);
      const answer = await this.native(fresh, { credentials: "omit", integrity, cache: "reload" });
      if (answer.ok) return answer;
    } catch {
      // refused below
    }
    const refused = new EdgeError(
      `${path} is not the file that was bundled: its sha256 differs from bundle.json's.`,
      AGAIN,
    );
    this.#refused.set(path, refused);
    return refused;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function fromHex(digest: string): string {
  const pairs = digest.match(/../g) ?? [];
  return btoa(String.fromCharCode(...pairs.map((pair) => Number.parseInt(pair, 16))));
}
