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
  #refusal: EdgeError | null = null;
  readonly #ahead = new Map<string, Promise<Response>>();

  /** `base` is the bundle's folder; `native` is the browser's own fetch. */
  constructor(
    private readonly base: URL,
    private readonly native: Fetch,
  ) {}

  /** The first file that could not be had: libraries tell of that in words of their own. */
  get refusal(): EdgeError | null {
    return this.#refusal;
  }

  /** From now on each of these files must have its hash. */
  trust(files: ReadonlyMap<string, FileFact>): void {
    this.#files = files;
  }

  /** The files in a folder of the bundle; its path ends in a slash. */
  below(folder: string): string[] {
    return [...this.#files.keys()].filter((path) => path.startsWith(folder));
  }

  /**
   * Begins to fetch what will be asked for, so that files do not wait for one another; rejects when
   * one is refused. Who uses a library waits for it: some ask once more in ways that are not ours.
   */
  ahead(...paths: readonly string[]): Promise<unknown> {
    for (const path of paths) {
      if (this.#files.has(path) && !this.#ahead.has(path)) this.#ahead.set(path, this.#get(path));
    }
    const coming = Promise.all(paths.map((path) => this.#ahead.get(path)));
    coming.catch(() => {}); // told to who asks for the file
    return coming;
  }

  /** The bytes of a file of the bundle. */
  async bytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
    for (let attempt = 1; ; attempt++) {
      const answer = await (attempt === 1 ? this.#take(path) : this.#get(path, true));
      try {
        return new Uint8Array(await answer.arrayBuffer());
      } catch {
        // without a hash, and in Firefox with one too, an answer begins before it is there
        if (attempt === TRIES) throw this.#refuse(cut(path));
        await pause(attempt);
      }
    }
  }

  /**
   * Compares modules that are imported meanwhile with their hashes: an import in a worker has none
   * to go by. What the module does is not used before this has settled.
   */
  async compare(...paths: readonly string[]): Promise<void> {
    await Promise.all(paths.map((path) => this.bytes(path)));
  }

  /** Stands in for the worker's `fetch`. Another address than the bundle's is left as it is. */
  readonly fetch: Fetch = (input, init) => {
    const request = input instanceof Request ? input : null;
    const path = this.#path(new URL(request?.url ?? String(input), this.base));
    const method = init?.method ?? request?.method ?? "GET";
    return path === null || method !== "GET" ? this.native(input, init) : this.#take(path);
  };

  /** Of a file whose hash is known. */
  #path(address: URL): string | null {
    if (!address.href.startsWith(this.base.href)) return null;
    const path = decodeURIComponent(address.pathname.slice(this.base.pathname.length));
    return this.#files.has(path) ? path : null;
  }

  #take(path: string): Promise<Response> {
    const coming = this.#ahead.get(path);
    this.#ahead.delete(path);
    return coming ?? this.#get(path);
  }

  async #get(path: string, again = false): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(path, again || attempt > 1);
      } catch (error) {
        if (!(error instanceof EdgeError)) throw error;
        if (error instanceof Refusal || attempt === TRIES) throw this.#refuse(error);
      }
      await pause(attempt);
    }
  }

  #refuse(failure: EdgeError): EdgeError {
    this.#refusal ??= failure;
    return failure;
  }

  async #once(path: string, again: boolean): Promise<Response> {
    const integrity = integrityOf(this.#files.get(path));
    let answer: Response;
    try {
      // what a first try left behind in the browser's cache may be half a file
      answer = await this.#ask(path, { integrity, cache: again ? "reload" : "default" });
    } catch {
      if (await this.#differs(path)) return this.#fresh(path, integrity);
      throw new EdgeError(`${path} could not be fetched.`, "Is the server still running?");
    }
    if (answer.ok) return answer;
    const told = `${path} could not be fetched: the server answered ${answer.status}.`;
    throw answer.status < 500 ? new Refusal(told, AGAIN) : new EdgeError(told, "Try again later.");
  }

  /** Of a fetch that failed: whether it was not the network, but another file. */
  async #differs(path: string): Promise<boolean> {
    const wanted = this.#files.get(path)?.sha256;
    try {
      const answer = await this.#ask(path, {});
      if (wanted === undefined || !answer.ok) return false;
      const found = await sha256(new Uint8Array(await answer.arrayBuffer()));
      return found !== "" && found !== wanted;
    } catch {
      return false;
    }
  }

  /** The service worker answers this one from the network, and mends what it keeps. */
  async #fresh(path: string, integrity: string): Promise<Response> {
    try {
      const answer = await this.#ask(`${path}?fresh`, { integrity, cache: "reload" });
      if (answer.ok) return answer;
    } catch {
      // still another one
    }
    throw new Refusal(
      `${path} is not the file that was bundled: its sha256 differs from bundle.json's.`,
      AGAIN,
    );
  }

  #ask(path: string, options: RequestInit): Promise<Response> {
    return this.native(new URL(path, this.base), { credentials: "omit", ...options });
  }
}

function cut(path: string): EdgeError {
  return new EdgeError(
    `${path} could not be fetched: it ended in the middle.`,
    "Is the server still running?",
  );
}

function pause(attempt: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS * attempt));
}

/** Asking once more would give the same. */
class Refusal extends EdgeError {}

/** As browsers take it; empty for a file that nobody has named. */
export function integrityOf(fact: FileFact | undefined): string {
  if (!fact) return "";
  const pairs = fact.sha256.match(/../g) ?? [];
  const bytes = pairs.map((pair) => Number.parseInt(pair, 16));
  return `sha256-${btoa(String.fromCharCode(...bytes))}`;
}
