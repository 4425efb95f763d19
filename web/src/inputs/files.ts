/** Files that people bring: how much of one is read, and what is said of one that cannot be. */

import { EdgeError } from "../read";
import type { Item } from "./card";

export const LARGEST = 64 << 20; // bytes of one file, as toolkit/data/audio.py has it
const MOST = 10_000; // items of one batch
const ROOM = 64 << 20; // numbers of one batch: a quarter of a gigabyte

export function nameOf(file: Blob): string {
  return file instanceof File && file.name ? file.name : "What was given";
}

export async function bytesOf(file: Blob): Promise<Uint8Array<ArrayBuffer>> {
  const name = nameOf(file);
  if (file.size === 0) throw new EdgeError(`${name} is empty: it has 0 bytes.`, "Choose another.");
  if (file.size > LARGEST) {
    const size = Math.round(file.size / 2 ** 20);
    const most = LARGEST / 2 ** 20;
    throw new EdgeError(`${name} has ${size} MB; ${most} MB are read.`, "Make it smaller.");
  }
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new EdgeError(`${name} cannot be read.`, "It was moved, changed, or is a folder.");
  }
}

export async function textOf(file: Blob): Promise<string> {
  const bytes = await bytesOf(file);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes); // leaves out the mark in front
  } catch {
    throw new EdgeError(`${nameOf(file)} is not text in UTF-8.`, "Save it as CSV in UTF-8.");
  }
}

/** Every item of every file; what cannot be read becomes an item that says why. */
export async function itemsOf(
  files: readonly File[],
  read: (file: File) => Promise<readonly Item[]>,
): Promise<readonly Item[]> {
  const items: Item[] = [];
  let numbers = 0;
  for (const file of files) {
    const found = await read(file).catch((error: unknown) => [unreadable(file, error)]);
    for (const item of found) {
      items.push(item);
      for (const { data } of Object.values(item.inputs)) numbers += data.length;
    }
    if (items.length > MOST || numbers > ROOM) {
      throw new EdgeError(
        `That is too much at once: ${items.length} items up to ${file.name}.`,
        `Give at most ${MOST} items, in several goes.`,
      );
    }
    await new Promise((done) => setTimeout(done)); // the page stays alive between two files
  }
  return items;
}

function unreadable(file: File, error: unknown): Item {
  if (!(error instanceof EdgeError)) throw error;
  return { name: file.name, inputs: {}, problem: error.message };
}
