/**
 * Sends records home: keeps them in an outbox until the collector says it has them on disk, and
 * forgets only those. Nothing is kept and nothing is sent before the visitor agrees.
 */

import { readAcknowledgement, readRecord } from "./contract";

/** Where unsent records wait: `text` is the record's JSON as Python wrote it. */
export interface OutboxStore {
  put(id: string, text: string): Promise<void>;
  oldest(limit: number): Promise<readonly (readonly [id: string, text: string])[]>;
  remove(ids: readonly string[]): Promise<void>;
  count(): Promise<number>;
  clear(): Promise<void>;
}

export interface Flushed {
  readonly sent: number;
  readonly left: number;
}

/** Answers the collector's body as JSON, or throws. */
export type Post = (body: string) => Promise<unknown>;

const BATCH = 50; // records a request: some 2 kB each, far below the collector's 1 MiB
const KEPT = 500; // a collector that is away for days must not fill the visitor's disk

export class Outbox {
  #flushing: Promise<Flushed> | null = null;

  constructor(
    private readonly store: OutboxStore,
    private readonly post: Post,
  ) {}

  async add(text: string): Promise<void> {
    const record = readRecord(JSON.parse(text));
    await this.store.put(record.id, text);
    const excess = (await this.store.count()) - KEPT;
    if (excess > 0) {
      const oldest = await this.store.oldest(excess);
      await this.store.remove(oldest.map(([id]) => id));
    }
  }

  /** Send what waits. Two calls at once share one round, so that nothing goes out twice. */
  flush(): Promise<Flushed> {
    this.#flushing ??= this.#round().finally(() => {
      this.#flushing = null;
    });
    return this.#flushing;
  }

  async #round(): Promise<Flushed> {
    let sent = 0;
    for (;;) {
      const batch = await this.store.oldest(BATCH);
      if (batch.length === 0) break;
      const accepted = await this.#send(batch.map(([, text]) => text));
      const known = batch.map(([id]) => id).filter((id) => accepted.includes(id));
      if (known.length === 0) break; // the collector is away or refuses: keep all, try later
      await this.store.remove(known);
      sent += known.length;
    }
    return { sent, left: await this.store.count() };
  }

  async #send(records: readonly string[]): Promise<readonly string[]> {
    try {
      // the texts go out as Python wrote them: reading and writing again could only lose
      return readAcknowledgement(await this.post(`{"schema":1,"records":[${records.join(",")}]}`));
    } catch {
      return [];
    }
  }

  clear(): Promise<void> {
    return this.store.clear();
  }
}

/** Posts to `v1/records` beside the page: the origin that served it, and no other. */
export function postTo(base: URL): Post {
  return async (body) => {
    const answer = await fetch(new URL("v1/records", base), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      credentials: "omit",
      redirect: "error", // a redirect could lead to another host
    });
    if (!answer.ok) throw new Error(`the collector answered ${answer.status}`);
    return answer.json();
  };
}

/** An outbox that the browser keeps over restarts. */
export class IndexedDbStore implements OutboxStore {
  private constructor(private readonly database: IDBDatabase) {}

  static async open(name: string): Promise<IndexedDbStore> {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () =>
      opening.result.createObjectStore(TABLE, { autoIncrement: true });
    return new IndexedDbStore(await settled(opening));
  }

  async put(id: string, text: string): Promise<void> {
    const table = this.#table("readwrite");
    await settled(table.add({ id, text }));
  }

  async oldest(limit: number): Promise<readonly (readonly [string, string])[]> {
    const table = this.#table("readonly");
    const rows: unknown[] = await settled(table.getAll(null, limit));
    return rows.map((row) => {
      const { id, text } = row as { id: string; text: string }; // what `put` wrote
      return [id, text] as const;
    });
  }

  async remove(ids: readonly string[]): Promise<void> {
    const table = this.#table("readwrite");
    const walk = table.openCursor();
    await new Promise<void>((resolve, reject) => {
      walk.onerror = () => reject(walk.error);
      walk.onsuccess = () => {
        const cursor = walk.result;
        if (!cursor) return resolve();
        if (ids.includes(cursor.value.id)) cursor.delete();
        cursor.continue();
      };
    });
  }

  async count(): Promise<number> {
    return settled(this.#table("readonly").count());
  }

  async clear(): Promise<void> {
    await settled(this.#table("readwrite").clear());
  }

  #table(mode: IDBTransactionMode): IDBObjectStore {
    return this.database.transaction(TABLE, mode).objectStore(TABLE);
  }
}

/** An outbox that ends with the page: for tests, and for browsers without storage. */
export class MemoryStore implements OutboxStore {
  readonly #rows = new Map<string, string>();

  async put(id: string, text: string): Promise<void> {
    this.#rows.set(id, text);
  }

  async oldest(limit: number): Promise<readonly (readonly [string, string])[]> {
    return [...this.#rows].slice(0, limit);
  }

  async remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#rows.delete(id);
  }

  async count(): Promise<number> {
    return this.#rows.size;
  }

  async clear(): Promise<void> {
    this.#rows.clear();
  }
}

/** The store of `name` that lasts; where the browser denies storage, one that ends with the page. */
export async function openStore(name: string): Promise<OutboxStore> {
  try {
    return await IndexedDbStore.open(name);
  } catch {
    return new MemoryStore();
  }
}

const TABLE = "records";

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
