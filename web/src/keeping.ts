/** Where records wait until the collector has them: in IndexedDB, or in memory where that is denied. */

/** `text` is the record's JSON as Python wrote it. */
export type Kept = readonly [id: string, text: string];

export interface OutboxStore {
  put(id: string, text: string): Promise<void>;
  oldest(limit: number): Promise<readonly Kept[]>;
  remove(ids: readonly string[]): Promise<void>;
  count(): Promise<number>;
  clear(): Promise<void>;
}

/** The store of `name` that lasts; where the browser denies storage, one that ends with the page. */
export async function openStore(name: string): Promise<OutboxStore> {
  try {
    return await IndexedDbStore.open(name);
  } catch {
    return new MemoryStore();
  }
}

/** One that the browser keeps over restarts, for all tabs of the page together. */
export class IndexedDbStore implements OutboxStore {
  private constructor(private readonly database: IDBDatabase) {}

  static async open(name: string): Promise<IndexedDbStore> {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () =>
      opening.result.createObjectStore(TABLE, { autoIncrement: true });
    return new IndexedDbStore(await settled(opening));
  }

  async put(id: string, text: string): Promise<void> {
    await this.#changed((table) => table.add({ id, text }));
  }

  async oldest(limit: number): Promise<readonly Kept[]> {
    const rows: unknown[] = await settled(this.#table("readonly").getAll(null, limit));
    return rows.map((row) => {
      const { id, text } = row as { id: string; text: string }; // what `put` wrote
      return [id, text];
    });
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.#changed((table) => {
      const walk = table.openCursor();
      walk.onsuccess = () => {
        const cursor = walk.result;
        if (!cursor) return;
        if (ids.includes(cursor.value.id)) cursor.delete();
        cursor.continue();
      };
    });
  }

  async count(): Promise<number> {
    return settled(this.#table("readonly").count());
  }

  async clear(): Promise<void> {
    await this.#changed((table) => table.clear());
  }

  #table(mode: IDBTransactionMode): IDBObjectStore {
    return this.database.transaction(TABLE, mode).objectStore(TABLE);
  }

  /** Done when the transaction is: a full disk is told only at its end, after each success. */
  #changed(change: (table: IDBObjectStore) => void): Promise<void> {
    const table = this.#table("readwrite");
    change(table);
    const { transaction } = table;
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

/** One that ends with the page: for tests, and for browsers without storage. */
export class MemoryStore implements OutboxStore {
  readonly #rows = new Map<string, string>();

  async put(id: string, text: string): Promise<void> {
    this.#rows.set(id, text);
  }

  async oldest(limit: number): Promise<readonly Kept[]> {
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

const TABLE = "records";

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
