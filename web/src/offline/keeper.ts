/**
 * Decides what is kept: takes what the host offers whole or not at all, and gives it for use only
 * after it has answered in this very browser. Whatever fails, the bundle in use stays in use.
 */

import { type BundleIndex, type OpenedBundle, openBundle } from "../bundle";
import { hasRelaxedSimd } from "../engines/abilities";
import { EdgeError } from "../read";
import { INDEX, type Kept, PROOF, type Shelf, type Stored } from "./shelf";
import { ForeignFile, same, type Taker } from "./taking";
import type { Report } from "./words";

const TRIES = 2; // a tab closed in the middle of a trial is no verdict yet
const STEP_MS = 15_000; // browsers end a service worker that is busy for minutes

/** What the host has now. */
interface Offer extends OpenedBundle {
  readonly papers: readonly (readonly [path: string, answer: Response])[]; // the index comes last
}

export interface Surroundings {
  readonly now: () => number; // ms
  /** Bytes that may still be stored. */
  readonly room: () => Promise<number>;
  /** Whether no other page has this folder open. */
  readonly alone: () => Promise<boolean>;
}

export class Keeper {
  constructor(
    private readonly shelf: Shelf,
    private readonly taker: Taker,
    private readonly around: Surroundings,
  ) {}

  /** Compare with the host and store what is new, for some seconds; `running` has just answered. */
  async check(running: string): Promise<Report> {
    let digest = "";
    try {
      await this.#proven(running);
      const offer = await this.#offered();
      digest = offer.digest;
      return await this.#weigh(offer, running);
    } catch (error) {
      const { active } = await this.shelf.kept().catch(() => ({ active: "" }));
      const state = error instanceof Refusal || error instanceof ForeignFile ? "refused" : "failed";
      return { state, digest, offline: active !== "", share: 0, message: words(error) };
    }
  }

  /** The candidate has answered here: the next start is its own. */
  async adopt(digest: string): Promise<Report> {
    const { candidate, past } = await this.shelf.kept();
    const stored = candidate === digest ? await this.shelf.stored(digest) : null;
    if (!stored) {
      // another tab was faster, or the browser has cleared its storage meanwhile
      const { active } = await this.shelf.kept();
      return {
        ...report(active === digest ? "current" : "failed", digest),
        offline: active !== "",
      };
    }
    await this.shelf.adopt(stored);
    const name = titled(stored.index);
    const message = past.includes(digest)
      ? `The host went back to an earlier version: ${name}. It starts with the next visit.`
      : `${name} is new here. It starts with the next visit.`;
    return { ...report("current", digest), message };
  }

  /** The candidate did not answer as it should; the one in use stays. */
  async reject(digest: string, why: string): Promise<void> {
    const { candidate } = await this.shelf.kept();
    if (candidate === digest) await this.shelf.change({ why });
  }

  /** A page came to the end of its start. */
  async #proven(running: string): Promise<void> {
    const { active, previous, unproven } = await this.shelf.kept();
    if (running !== active || active === "") return;
    // another page may still run the bundle before, and fetch from it
    const done = previous !== "" && (await this.around.alone());
    if (unproven > 0 || done) {
      await this.shelf.change({ unproven: 0, previous: done ? "" : previous });
    }
    if (done) await this.shelf.sweep();
  }

  async #offered(): Promise<Offer> {
    const [index, bytes] = await this.taker.newest(this.shelf.address(INDEX), INDEX);
    const [proof, signature] = await this.taker.newest(this.shelf.address(PROOF), PROOF);
    const papers = [
      [PROOF, proof],
      [INDEX, index],
    ] as const;
    try {
      return { ...(await openBundle(bytes, signature)), papers };
    } catch (error) {
      throw new Refusal(`What the host offers is not taken: ${words(error)}`);
    }
  }

  async #weigh(offer: Offer, running: string): Promise<Report> {
    const { digest } = offer;
    let kept = await this.shelf.kept();
    if (digest !== kept.active) {
      refuseStranger(offer, kept);
      if (digest !== kept.candidate) {
        kept = await this.shelf.change({ candidate: digest, tries: 0, why: "" });
        await this.shelf.sweep();
      }
      if (kept.tries >= TRIES && digest !== running) throw new Refusal(failedHere(offer, kept));
    }
    const share = await this.#store(offer, kept);
    const offline = kept.active !== "";
    if (share < 1) return { ...report("storing", digest), offline, share };
    if (digest === kept.active) return report("current", digest);
    if (digest === running) return this.#adoptRunning(digest);
    // written before the trial: one that takes the whole browser down counts too
    await this.shelf.change({ tries: kept.tries + 1 });
    return { ...report("candidate", digest), offline, message: `${titled(offer.index)} is tried.` };
  }

  /** What has answered in this very page needs no trial. */
  async #adoptRunning(digest: string): Promise<Report> {
    const first = (await this.shelf.kept()).active === "";
    const adopted = await this.adopt(digest);
    return first ? { ...adopted, message: "" } : adopted;
  }

  /** Store what is missing; the share of the bytes that are there when time is up. */
  async #store(offer: Offer, kept: Kept): Promise<number> {
    const { digest, index } = offer;
    const whole = await this.shelf.stored(digest);
    const cache = whole?.cache ?? (await this.shelf.begin(digest));
    const there = new Set((await cache.keys()).map((request) => request.url));
    const all = [...index.files].filter(([path]) => !isForOthers(path));
    const missing = all.filter(([path]) => !there.has(this.shelf.address(path)));
    if (missing.length === 0 && whole) return 1;
    const size = (files: typeof all) => files.reduce((sum, [, fact]) => sum + fact.size, 0);
    const [needed, total] = [size(missing), size(all)];
    if (needed > (await this.around.room())) throw noRoom(needed);
    const sources = await this.#sources(kept);
    const until = this.around.now() + STEP_MS;
    let left = needed;
    try {
      for (const [path, fact] of missing) {
        if (this.around.now() > until) return 1 - left / total;
        const address = this.shelf.address(path);
        const copied = await sources(fact.sha256);
        await cache.put(address, copied ?? (await this.taker.file(address, path, fact)));
        left -= fact.size;
      }
      for (const [path, answer] of offer.papers) await cache.put(this.shelf.address(path), answer);
    } catch (error) {
      if (!isQuota(error)) throw error;
      // half a bundle is of no use, and the room is somebody's
      if (digest !== kept.active) await this.shelf.remove(digest);
      throw noRoom(left);
    }
    return 1;
  }

  /** Looks for a file among what is kept already, by its hash. */
  async #sources({ active }: Kept): Promise<(sha256: string) => Promise<Response | null>> {
    const stored = await this.shelf.stored(active);
    const places = new Map([...(stored?.index.files ?? [])].map(([p, fact]) => [fact.sha256, p]));
    return async (sha256) => {
      const path = places.get(sha256);
      return path === undefined ? null : sound(stored, path, this.shelf.address(path));
    };
  }
}

/** Of the two builds of LiteRT a browser runs one; should that change, the host has the other. */
function isForOthers(path: string): boolean {
  return path.startsWith(hasRelaxedSimd() ? "engines/litert-compat/" : "engines/litert/");
}

/** The answer kept for a file, when its bytes are still what they were. */
export async function sound(
  stored: Stored | null,
  path: string,
  address: string,
): Promise<Response | null> {
  const fact = stored?.index.files.get(path);
  const answer = await stored?.cache.match(address);
  if (!fact || !answer) return null;
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return (await same(bytes, fact)) ? new Response(bytes, { headers: answer.headers }) : null;
}

/** Not taken, whatever the network does. */
class Refusal extends EdgeError {}

function refuseStranger(offer: Offer, { key, active }: Kept): void {
  if (key !== "" && offer.index.key !== key) {
    throw new Refusal(
      `${titled(offer.index)} is signed with another key than the bundle in use, and is not taken. ` +
        "If the change is meant, clear this page's data in the browser and open it again.",
    );
  }
  if (!offer.signed && active !== "") {
    throw new Refusal(`${titled(offer.index)} is not taken. ${offer.note} Update the browser.`);
  }
}

function failedHere(offer: Offer, { why }: Kept): string {
  const reason = why || "It did not come to an answer.";
  return `${titled(offer.index)} failed in this browser and is not taken: ${reason}`;
}

function noRoom(bytes: number): EdgeError {
  const size = Math.max(1, Math.ceil(bytes / 1e6));
  return new EdgeError(
    `This browser has no room for another ${size} MB; the page runs, but not offline.`,
    "Free some disk, or clear the data of other pages.",
  );
}

function isQuota(error: unknown): boolean {
  return error instanceof Error && error.name === "QuotaExceededError";
}

function titled({ model, version }: BundleIndex): string {
  return `${model} ${version}`;
}

function report(state: Report["state"], digest: string): Report {
  return { state, digest, offline: true, share: 1, message: "" };
}

function words(error: unknown): string {
  if (error instanceof EdgeError) return `${error.message} ${error.hint}`.trim();
  return error instanceof Error ? error.message : String(error);
}
