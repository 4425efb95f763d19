/**
 * What a browser keeps of the bundles of one folder: the one in use, the one before it until the
 * new one has proven itself, and one that is still on trial. Each lies in a cache of its own, so
 * that two bundles never mix, not even those of two folders of one origin.
 */

import { type BundleIndex, readBundle, sha256 } from "../bundle";
import { integer, list, object, parse, text } from "../read";

/** What is remembered from one visit to the next; digests, empty where there is none. */
export interface Kept {
  readonly key: string; // the signer of the first bundle taken: another one's are refused
  readonly active: string;
  readonly previous: string;
  readonly candidate: string;
  readonly tries: number; // trials of the candidate that have begun
  readonly why: string; // its last trial failed
  readonly unproven: number; // starts of the active bundle since one came to its end
  readonly past: readonly string[]; // those that were active before
}

export const NOTHING: Kept = {
  ...{ key: "", active: "", previous: "", candidate: "" },
  ...{ tries: 0, why: "", unproven: 0, past: [] },
};

/** A whole bundle in its cache. */
export interface Stored {
  readonly digest: string;
  readonly index: BundleIndex;
  readonly cache: Cache;
}

export const INDEX = "bundle.json";
export const PROOF = "bundle.sig";
const PAST = 8; // digests: an operator goes back by one or two

export class Shelf {
  readonly #open = new Map<string, Stored>();
  #kept: Promise<Kept> | null = null;

  /** `scope` is the bundles' folder. */
  constructor(
    readonly scope: URL,
    private readonly caches: CacheStorage,
  ) {}

  name(digest: string): string {
    return `sanderling ${this.scope.pathname} ${digest.slice(0, 16)}`;
  }

  address(path: string): string {
    return new URL(path, this.scope).href;
  }

  kept(): Promise<Kept> {
    this.#kept ??= this.#read();
    return this.#kept;
  }

  /** What is kept is written down before anyone may rely on it. */
  change(news: Partial<Kept>): Promise<Kept> {
    const next = this.kept().then(async (old) => {
      const kept = { ...old, ...news };
      const cache = await this.caches.open(this.name("state"));
      const body = JSON.stringify({ schema: 1, ...kept });
      await cache.put(this.address("state"), new Response(body));
      return kept;
    });
    // a write that failed must not make all later ones fail
    this.#kept = next.catch(() => this.#read());
    return next;
  }

  /** The bundle in use from the next start on; the one before it stays until that start worked. */
  async adopt(stored: Stored): Promise<Kept> {
    const { active, past } = await this.kept();
    return this.change({
      ...{ key: stored.index.key, active: stored.digest, previous: active },
      ...{ candidate: "", tries: 0, why: "", unproven: 0 },
      past: [...past.filter((one) => one !== active), active].filter(Boolean).slice(-PAST),
    });
  }

  /** The bundle of that digest; nothing when it is not whole. */
  async stored(digest: string): Promise<Stored | null> {
    const known = this.#open.get(digest);
    if (known) return known;
    if (digest === "" || !(await this.caches.has(this.name(digest)))) return null;
    const cache = await this.caches.open(this.name(digest));
    // written last: where it is, all is
    const found = await cache.match(this.address(INDEX));
    if (!found) return null;
    const bytes = new Uint8Array(await found.arrayBuffer());
    if ((await sha256(bytes)) !== digest) return null;
    const stored = { digest, index: readBundle(parse(bytes, INDEX)), cache };
    this.#open.set(digest, stored);
    return stored;
  }

  /** The cache that a bundle is being stored in. */
  begin(digest: string): Promise<Cache> {
    return this.caches.open(this.name(digest));
  }

  async remove(digest: string): Promise<void> {
    this.#open.delete(digest);
    await this.caches.delete(this.name(digest));
  }

  /** Remove every bundle of this folder that is of no more use. */
  async sweep(): Promise<void> {
    const { active, previous, candidate } = await this.kept();
    const used = [active, previous, candidate].map((digest) => this.name(digest));
    for (const name of await this.#names()) {
      if (used.includes(name) || name === this.name("state")) continue;
      await this.caches.delete(name);
    }
    for (const digest of this.#open.keys()) {
      if (![active, previous, candidate].includes(digest)) this.#open.delete(digest);
    }
  }

  async forget(): Promise<void> {
    for (const name of await this.#names()) await this.caches.delete(name);
    this.#open.clear();
    this.#kept = null;
  }

  /** Of our caches; a page's other ones, and those of other folders, are not ours to remove. */
  async #names(): Promise<string[]> {
    const beginning = this.name("");
    const ours = /^([0-9a-f]{16}|state)$/;
    return (await this.caches.keys()).filter(
      (name) => name.startsWith(beginning) && ours.test(name.slice(beginning.length)),
    );
  }

  async #read(): Promise<Kept> {
    const cache = await this.caches.open(this.name("state"));
    const found = await cache.match(this.address("state"));
    if (!found) return NOTHING;
    try {
      return readKept(parse(new Uint8Array(await found.arrayBuffer()), "state"));
    } catch {
      return NOTHING; // damaged: the next check takes what the host has
    }
  }
}

function readKept(value: unknown): Kept {
  const fields = object(value, "state");
  const word = (name: string) => text(fields[name], `state.${name}`);
  const count = (name: string) => integer(fields[name], `state.${name}`);
  return {
    ...{ key: word("key"), active: word("active"), previous: word("previous") },
    ...{ candidate: word("candidate"), tries: count("tries"), why: word("why") },
    ...{ unproven: count("unproven"), past: list(text)(fields.past, "state.past") },
  };
}
