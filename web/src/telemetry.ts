/**
 * Sends records home: keeps them in an outbox until the collector says it has them on disk, and
 * forgets only those. Nothing is kept and nothing is sent before the visitor agrees.
 */

import { readRecord } from "./contract";
import { type Kept, MemoryStore, type OutboxStore, openStore } from "./keeping";
import { BODY_LIMIT, type Collector, type Post, postTo, Refusal } from "./posting";

/** What became of the records; `why` tells the visitor why none can go out from here. */
export interface Flushed {
  readonly sent: number;
  readonly left: number;
  readonly why?: string;
}

/** A lite bundle's answer to everything: Python counts, and it has none. */
export const NO_TELEMETRY: Flushed = {
  sent: 0,
  left: 0,
  why: "This bundle has no Python, and so no telemetry.",
};

const BATCH = 50; // records read at a time
const ENVELOPE = 100; // bytes around the records of a message
const KEPT = 500; // a collector that is away for days must not fill the visitor's disk
const FIRST_WAIT_MS = 30_000; // after the second failure in a row, then doubled
const LONGEST_WAIT_MS = 3_600_000;

/** The outbox of the bundle at `base`. Nothing is opened before its first use. */
export function outboxOf(base: URL, collector: Collector): Outbox {
  // two bundles of one origin must not send each other's records
  const name = `sanderling ${base.pathname}`;
  const outbox = new Outbox(name, () => openStore(name), postTo(base, collector));
  self.addEventListener("online", () => outbox.hurry());
  return outbox;
}

export class Outbox {
  #store: Promise<OutboxStore> | null = null;
  #changes: Promise<unknown> = Promise.resolve(); // of the store, one after the other
  #flushing: Promise<Flushed> | null = null;
  #stop = new AbortController();
  #dropped = 0; // records that gave way since the last one that tells of it
  #tooLong = Number.POSITIVE_INFINITY; // letters of a record that the collector found too large
  readonly #refused = new Set<string>(); // by a collector that could not read them; until reload
  #failures = 0;
  #notBefore = 0; // on the page's clock, which nobody sets

  constructor(
    private readonly name: string,
    private readonly open: () => Promise<OutboxStore>,
    private readonly post: Post,
  ) {}

  async add(text: string): Promise<void> {
    const { id } = readRecord(JSON.parse(text));
    await this.#change(async () => {
      const excess = (await (await this.#opened()).count()) - KEPT + 1;
      if (excess > 0) await this.#dropOldest(excess);
      await this.#put(id, text);
    });
  }

  /** Send what waits. Two calls at once share one round, so that nothing goes out twice. */
  flush(): Promise<Flushed> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = null;
    });
    return this.#flushing;
  }

  /** Forget all that waits, and break off what is under way. */
  async clear(): Promise<void> {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#dropped = 0;
    this.hurry();
    await this.#change(async () => (await this.#opened()).clear());
  }

  /** The network is back, or the visitor has just agreed: the next flush need not wait. */
  hurry(): void {
    this.#failures = 0;
    this.#notBefore = 0;
  }

  async #flush(): Promise<Flushed> {
    const store = await this.#opened();
    await this.#changes; // a visitor's no that came before is through
    const { signal } = this.#stop;
    let [sent, left, why, through] = [0, 0, "", false];
    do {
      through = false;
      if (performance.now() >= this.#notBefore) {
        await alone(this.name, async () => {
          try {
            for await (const rid of this.#messages(store, signal)) {
              sent += rid.sent;
              why = rid.why ?? why;
            }
            through = true;
          } catch (error) {
            if (signal.aborted) return;
            this.#later(error);
            if (error instanceof Refusal) why = error.why;
          }
        });
      }
      left = await store.count();
      // a record may have come after the last look, and its own flush shares this round
    } while (through && left > this.#refused.size);
    return why ? { sent, left, why } : { sent, left };
  }

  /** Sends one message after the other; gives how many records each one rid us of, or why of none. */
  async *#messages(
    store: OutboxStore,
    signal: AbortSignal,
  ): AsyncGenerator<{ sent: number; why?: string }> {
    let most = BATCH;
    for (;;) {
      const waiting = await store.oldest(most + this.#refused.size);
      const batch = fitting(waiting.filter(([id]) => !this.#refused.has(id)).slice(0, most));
      const [first, ...others] = batch;
      if (!first) return;
      try {
        if (first[1].length >= this.#tooLong) throw new Refusal(413, 0); // as it has said before
        const accepted = await this.post(message(batch), signal);
        const known = batch.map(([id]) => id).filter((id) => accepted.includes(id));
        if (known.length === 0) throw new Error("the collector acknowledged nothing");
        await this.#change(() => store.remove(known));
        yield { sent: known.length };
        this.hurry();
        most = BATCH;
      } catch (error) {
        if (!(error instanceof Refusal) || !error.unreadable) throw error;
        // find the record that it cannot read, and pass over it
        most = Math.max(1, Math.floor(batch.length / 2));
        if (others.length > 0) continue;
        if (!error.tooLarge || first[1].length < BODY_LIMIT) {
          this.#refused.add(first[0]);
          continue;
        }
        // it never will be taken, nor will this model's other windows: they must not fill the disk
        this.#tooLong = Math.min(this.#tooLong, first[1].length);
        await this.#change(() => this.#drop([first]));
        yield { sent: 0, why: error.why };
      }
    }
  }

  /** Back-off with jitter: visitors of one page must not all return at once. */
  #later(error: unknown): void {
    this.#failures += 1;
    const doubled = this.#failures < 2 ? 0 : FIRST_WAIT_MS * 2 ** (this.#failures - 2);
    const asked = error instanceof Refusal ? error.waitMs : 0;
    const wait = Math.min(LONGEST_WAIT_MS, Math.max(doubled * (0.5 + Math.random() / 2), asked));
    this.#notBefore = performance.now() + wait;
  }

  /** Keep a record that says how many gave way before it; when the disk is full, more do. */
  async #put(id: string, text: string): Promise<void> {
    for (;;) {
      const store = await this.#opened();
      try {
        await store.put(id, this.#dropped ? `{"dropped":${this.#dropped},${text.slice(1)}` : text);
        this.#dropped = 0;
        return;
      } catch (error) {
        if (store instanceof MemoryStore) throw error;
        const full = error instanceof DOMException && error.name === "QuotaExceededError";
        // nothing of ours to give up, or no disk any more: memory is what is left
        if (!full || !(await this.#dropOldest(BATCH))) {
          this.#store = Promise.resolve(new MemoryStore());
        }
      }
    }
  }

  /** How many records there were to drop. */
  async #dropOldest(count: number): Promise<number> {
    const store = await this.#opened();
    const oldest = await store.oldest(count);
    await this.#drop(oldest);
    return oldest.length;
  }

  /** Forget records unsent; the next one that is kept tells how many. */
  async #drop(given: readonly Kept[]): Promise<void> {
    await (await this.#opened()).remove(given.map(([id]) => id));
    for (const [, text] of given) {
      const { dropped } = readRecord(JSON.parse(text)).extra;
      this.#dropped += 1 + (typeof dropped === "number" ? dropped : 0);
    }
  }

  #opened(): Promise<OutboxStore> {
    this.#store ??= this.open();
    return this.#store;
  }

  #change(work: () => Promise<void>): Promise<void> {
    const turn = this.#changes.then(work);
    this.#changes = turn.catch(() => {});
    return turn;
  }
}

/** As many of these as a message holds, at least one. */
function fitting(waiting: readonly Kept[]): readonly Kept[] {
  let size = ENVELOPE;
  const end = waiting.findIndex(([, text]) => {
    size += new TextEncoder().encode(text).length + 1;
    return size > BODY_LIMIT;
  });
  return end < 0 ? waiting : waiting.slice(0, Math.max(1, end));
}

/** The texts go out as Python wrote them; the hour is ours, by which the collector knows our clock. */
function message(batch: readonly Kept[]): string {
  const texts = batch.map(([, text]) => text).join(",");
  return `{"schema":1,"sent":"${new Date().toISOString()}","records":[${texts}]}`;
}

/** Does the work, which never throws, unless another tab of this page is at it. */
async function alone(name: string, work: () => Promise<void>): Promise<void> {
  try {
    await navigator.locks.request(name, { ifAvailable: true }, async (lock) => {
      if (lock) await work();
    });
  } catch {
    // no locks on plain http, nor where storage is denied: the collector tells twins apart
    await work();
  }
}
