/**
 * Answers a page's requests from the bundle in use, and mends what has decayed on the way. A file
 * asked for with a hash comes from the bundle that has it: a page that was opened before an update
 * goes on with its own files.
 */

import type { FileFact } from "../contract";
import { INDEX, PROOF, type Shelf, type Stored } from "./shelf";
import { type Fetch, same, type Taker } from "./taking";

const TRIAL = /^\.trial\/([0-9a-f]{16})\/(.*)$/;
const PATIENCE = 3; // starts without an end: then the host is asked first, it may have a cure

interface Wanted {
  readonly path: string;
  readonly trial: string; // beginning of the digest of the bundle on trial; mostly empty
  readonly fresh: boolean; // the page found the answer damaged
}

export class Desk {
  constructor(
    private readonly shelf: Shelf,
    private readonly taker: Taker,
    private readonly fetch: Fetch,
  ) {}

  /** Whether a request is one for a file of this folder; the browser sees to all others. */
  takes({ method, url }: Request): boolean {
    return method === "GET" && this.#wanted(new URL(url)) !== null;
  }

  async respond(request: Request): Promise<Response> {
    try {
      const wanted = this.#wanted(new URL(request.url));
      if (wanted) return await this.#respond(request, wanted);
    } catch {
      // storage is denied or broken: as if nothing was kept
    }
    return this.fetch(request);
  }

  async #respond(request: Request, wanted: Wanted): Promise<Response> {
    const { active, previous, candidate, unproven } = await this.shelf.kept();
    if (wanted.trial !== "") {
      const stored = candidate.startsWith(wanted.trial) ? await this.shelf.stored(candidate) : null;
      const found = stored && (await this.#from(stored, request, wanted));
      return found ?? new Response("This bundle is not on trial.\n", { status: 404 });
    }
    const starts = request.mode === "navigate" && wanted.path === "index.html";
    const begun = starts && active !== "" ? unproven + 1 : unproven;
    if (begun > unproven) await this.shelf.change({ unproven: begun });
    if (begun > PATIENCE) {
      const answer = await this.fetch(request).catch(() => null);
      if (answer && answer.status < 500) return answer;
    }
    for (const digest of [active, previous]) {
      const stored = await this.shelf.stored(digest);
      const found = stored && (await this.#from(stored, request, wanted));
      if (found) return found;
    }
    return this.fetch(request);
  }

  /** Nothing for what this bundle does not have. */
  async #from(stored: Stored, request: Request, wanted: Wanted): Promise<Response | null> {
    const { path, fresh } = wanted;
    const address = this.shelf.address(path);
    if (path === INDEX || path === PROOF) return (await stored.cache.match(address)) ?? null;
    const fact = stored.index.files.get(path);
    const asked = /^sha256-(\S+)$/.exec(request.integrity)?.[1];
    if (!fact || (asked && asked !== base64(fact.sha256))) return null;
    const kept = fresh ? undefined : await stored.cache.match(address);
    // the browser itself checks what is fetched with a hash; all else is checked here
    if (kept && asked && request.destination === "") return kept;
    if (kept) {
      const bytes = new Uint8Array(await kept.arrayBuffer());
      if (await same(bytes, fact)) return new Response(bytes, { headers: kept.headers });
    }
    return this.#mend(stored, path, fact);
  }

  /** A file that is lost or damaged comes from the host once more, if the host still has it. */
  async #mend(stored: Stored, path: string, fact: FileFact): Promise<Response> {
    const address = this.shelf.address(path);
    let answer: Response;
    try {
      answer = await this.taker.file(address, path, fact);
    } catch (error) {
      // without it this bundle cannot start: what the host has now is the way out
      await this.shelf.change({ unproven: PATIENCE });
      return new Response(`${error instanceof Error ? error.message : error}\n`, { status: 502 });
    }
    await stored.cache.put(address, answer.clone()).catch(() => {}); // no room: answered all the same
    return answer;
  }

  /** Nothing for an address that is none of ours. */
  #wanted({ origin, pathname, search }: URL): Wanted | null {
    const { scope } = this.shelf;
    if (origin !== scope.origin || !pathname.startsWith(scope.pathname)) return null;
    let rest: string;
    try {
      rest = decodeURIComponent(pathname.slice(scope.pathname.length));
    } catch {
      return null;
    }
    const [, trial = "", inTrial = rest] = TRIAL.exec(rest) ?? [];
    return { path: inTrial || "index.html", trial, fresh: search === "?fresh" };
  }
}

function base64(hex: string): string {
  const bytes = (hex.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
  return btoa(String.fromCharCode(...bytes));
}
