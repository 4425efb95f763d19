/**
 * The heap of a Python that has just started, kept in Cache Storage: at the next visit it is copied
 * into place instead of made again. Taken before anything of the visitor's is in it, and named by
 * all that it was made from, so that another version never meets it. Where the browser denies
 * storage, or what it kept is not whole, Python starts the plain way.
 */

import { sha256 } from "./bundle";

const KEPT = "sanderling snapshots";
const FOLDER = ".snapshot/";
const MOST = 2; // of one origin: a heap takes some 12 MB
const DIGEST = "x-sha256";
const BLOCK = 1 << 16; // of bytes: what is all zeros is not kept, and that is more than half

type Heap = Uint8Array<ArrayBuffer>;

/** Removes the heaps of the bundles in that folder. */
export async function removeSnapshots(base: URL): Promise<void> {
  const cache = await caches.open(KEPT);
  for (const { url } of await cache.keys()) {
    if (url.startsWith(new URL(FOLDER, base).href)) await cache.delete(url);
  }
}

export class SnapshotStore {
  readonly #address: URL;
  readonly #trying: URL; // there while a heap is put to use: one that took a tab down is not tried again

  /** `content` is what the heap was made from, in letters that an address can have. */
  constructor(base: URL, content: string) {
    this.#address = new URL(FOLDER + content, base);
    this.#trying = new URL(`${this.#address.href}.trying`);
  }

  /** How to read the heap of an earlier visit, when there is one; it rejects when it is not whole. */
  async find(): Promise<(() => Promise<Heap>) | null> {
    try {
      const cache = await caches.open(KEPT);
      const [kept, died] = await Promise.all(
        [this.#address, this.#trying].map((a) => cache.match(a)),
      );
      if (died) await this.remove();
      return kept && !died ? () => this.#read(cache, kept) : null;
    } catch {
      return null; // storage is denied, or full of holes
    }
  }

  async #read(cache: Cache, kept: Response): Promise<Heap> {
    const packed = new Uint8Array(await kept.arrayBuffer());
    const digest = await sha256(packed);
    if (digest === "" || digest !== kept.headers.get(DIGEST)) throw new Error("not whole");
    await cache.put(this.#trying, new Response(""));
    return unpack(packed);
  }

  /** The heap that was read is in use. */
  async worked(): Promise<void> {
    await this.#quietly(async (cache) => {
      await cache.delete(this.#trying);
    });
  }

  async remove(): Promise<void> {
    await this.#quietly(async (cache) => {
      await cache.delete(this.#address);
      await cache.delete(this.#trying);
    });
  }

  async put(heap: Heap): Promise<void> {
    await this.#quietly(async (cache) => {
      const packed = pack(heap);
      const digest = await sha256(packed);
      if (digest === "") return; // nothing could tell later whether it is whole
      const old = (await cache.keys()).filter(({ url }) => !url.endsWith(".trying"));
      for (const request of old.slice(0, Math.max(0, old.length + 1 - MOST))) {
        await cache.delete(request);
      }
      await cache.put(this.#address, new Response(packed, { headers: { [DIGEST]: digest } }));
    });
  }

  /** What storage refuses costs the next visit a second, and this one nothing. */
  async #quietly(work: (cache: Cache) => Promise<void>): Promise<void> {
    try {
      await work(await caches.open(KEPT));
    } catch {
      // denied, or no room
    }
  }
}

/** The heap's size, how many blocks follow, where each begins, and the blocks themselves. */
function pack(heap: Heap): Heap {
  const starts: number[] = [];
  for (let at = 0; at < heap.length; at += BLOCK) if (!empty(heap, at)) starts.push(at);
  const head = Uint32Array.of(heap.length, starts.length, ...starts);
  const packed = new Uint8Array(head.byteLength + starts.length * BLOCK);
  packed.set(new Uint8Array(head.buffer));
  for (const [i, at] of starts.entries()) {
    packed.set(heap.subarray(at, at + BLOCK), head.byteLength + i * BLOCK);
  }
  return packed;
}

function unpack(packed: Heap): Heap {
  const [size = 0, count = 0] = new Uint32Array(packed.buffer, 0, 2);
  const starts = new Uint32Array(packed.buffer, 8, count);
  const heap = new Uint8Array(size);
  let from = 8 + starts.byteLength;
  for (const at of starts) {
    const length = Math.min(BLOCK, size - at);
    heap.set(packed.subarray(from, from + length), at);
    from += BLOCK;
  }
  return heap;
}

function empty(heap: Heap, start: number): boolean {
  const end = Math.min(start + BLOCK, heap.length);
  for (let at = start; at < end; at++) if (heap[at] !== 0) return false;
  return true;
}
