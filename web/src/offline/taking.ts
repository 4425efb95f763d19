/** Takes one file from the host, whole and as `bundle.json` names it, or says what was wrong. */

import { sha256 } from "../bundle";
import type { FileFact } from "../contract";
import { EdgeError } from "../read";

export type Fetch = typeof fetch;

const STALL_MS = 20_000; // without a byte: the host, or the way to it, has stopped
const LATER = "The next visit goes on from here.";
const COPY = "Copy the bundle to the host again; this browser takes it at the next visit.";

// modules and WebAssembly are refused under another type, and not every host knows these
const TYPES: Readonly<Record<string, string>> = {
  ...{ html: "text/html; charset=utf-8", css: "text/css; charset=utf-8" },
  ...{ js: "text/javascript; charset=utf-8", mjs: "text/javascript; charset=utf-8" },
  ...{ json: "application/json", wasm: "application/wasm" },
};

// of the host's headers the ones that say how the page may behave; the others tell of one answer
const KEPT_HEADERS = [
  "content-security-policy",
  "content-type",
  "permissions-policy",
  "referrer-policy",
  "x-content-type-options",
  "x-frame-options",
];

/** Another file than the one that was bundled: more patience does not help. */
export class ForeignFile extends EdgeError {}

/** Shared memory, and so more than one thread, needs these; many static hosts cannot send them. */
const ISOLATED: Readonly<Record<string, string>> = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
};

export class Taker {
  constructor(
    private readonly fetch: Fetch,
    private readonly stallMs = STALL_MS,
  ) {}

  /**
   * The answer to keep. With a hash to compare, what the browser has cached is as good as new: the
   * host is asked only for what differs.
   */
  async file(address: string, path: string, fact: FileFact): Promise<Response> {
    const cached = await this.#whole(address, "force-cache", path);
    if (await same(cached.bytes, fact)) return kept(path, cached.answer, cached.bytes);
    // of another version, or what the host said while it was out of order
    const { answer, bytes } = await this.#whole(address, "reload", path);
    if (!answer.ok) throw refused(path, answer);
    if (await same(bytes, fact)) return kept(path, answer, bytes);
    if (bytes.length < fact.size) {
      throw new EdgeError(
        `${path} did not come whole: ${bytes.length} of ${fact.size} bytes.`,
        LATER,
      );
    }
    throw new ForeignFile(
      `${path} is not the file that was bundled: its sha256 differs from bundle.json's.`,
      COPY,
    );
  }

  /** The answer to keep for a file that has no hash: the index itself, and its signature. */
  async newest(address: string, path: string): Promise<[Response, Uint8Array<ArrayBuffer>]> {
    const { answer, bytes } = await this.#whole(address, "no-cache", path);
    if (!answer.ok) throw refused(path, answer);
    return [kept(path, answer, bytes), bytes];
  }

  async #whole(address: string, cache: RequestCache, path: string) {
    const stop = new AbortController();
    let timer = setTimeout(() => stop.abort(), this.stallMs);
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), this.stallMs);
    };
    try {
      const answer = await this.fetch(address, { cache, signal: stop.signal });
      return { answer, bytes: await read(answer, alive) };
    } catch {
      throw stop.signal.aborted
        ? new EdgeError(`${path}: the host stopped in the middle.`, LATER)
        : new EdgeError(`${path} could not be fetched from the host.`, LATER);
    } finally {
      clearTimeout(timer);
    }
  }
}

function refused(path: string, { status }: Response): EdgeError {
  return new EdgeError(`${path}: the host answered ${status}.`, LATER);
}

export async function same(bytes: Uint8Array<ArrayBuffer>, fact: FileFact): Promise<boolean> {
  return bytes.length === fact.size && (await sha256(bytes)) === fact.sha256;
}

async function read(answer: Response, alive: () => void): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const reader = answer.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done) break;
    if (value) chunks.push(value);
    alive();
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

function kept(path: string, answer: Response, bytes: Uint8Array<ArrayBuffer>): Response {
  const headers = new Headers(ISOLATED);
  for (const name of KEPT_HEADERS) {
    const value = answer.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const type = TYPES[path.split(".").at(-1) ?? ""];
  if (type) headers.set("content-type", type);
  return new Response(bytes, { headers });
}
