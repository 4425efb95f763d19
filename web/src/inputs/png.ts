/**
 * PNG files (ISO/IEC 15948) to the byte: a canvas multiplies colours by their transparency and
 * some browsers add noise to what is read from one, so equal numbers need a reader of our own.
 */

import { EdgeError } from "../read";
import type { Pixels } from "./resize";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const [GREY, RGB, PALETTE, GREY_ALPHA, RGBA] = [0, 2, 3, 4, 6];
const CHANNELS = new Map([
  ...([
    [GREY, 1],
    [RGB, 3],
    [PALETTE, 1],
    [GREY_ALPHA, 2],
    [RGBA, 4],
  ] as const),
]);

export function isPng(bytes: Uint8Array): boolean {
  return SIGNATURE.every((value, i) => bytes[i] === value);
}

/** Grey (1 channel) or colour (3), without transparency; null for a kind that is left to others. */
export async function readPng(bytes: Uint8Array): Promise<Pixels | null> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let head: Uint8Array = new Uint8Array();
  let palette: Uint8Array = new Uint8Array();
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const data = bytes.slice(at + 8, at + 8 + length);
    if (kind === "IHDR") head = data;
    if (kind === "PLTE") palette = data;
    if (kind === "IDAT") parts.push(data);
    if (kind === "eXIf") return null; // it may be turned
    at += 12 + length;
  }
  const [bits = 0, colour = 0, , , interlaced = 1] = head.subarray(8);
  const channels = CHANNELS.get(colour);
  const { width, height } = { width: view.getUint32(16), height: view.getUint32(20) };
  const wide = bits / 8; // bytes of one value
  if (interlaced || ![1, 2].includes(wide) || !channels || width * height === 0) return null;
  const line = width * channels * wide;
  const packed = await unpacked(new Blob(parts), height * (1 + line));
  const whole = unfiltered(packed, line, height, channels * wide);
  const data = wide === 1 ? whole : whole.filter((_, i) => i % 2 === 0); // the upper byte
  if (colour === PALETTE) return { width, height, channels: 3, data: looked(data, palette) };
  if (colour !== GREY_ALPHA) return { width, height, channels, data };
  return { width, height, channels: 1, data: data.filter((_, i) => i % 2 === 0) };
}

/** Exactly `size` bytes: a bomb is stopped as soon as it gives more. */
async function unpacked(blob: Blob, size: number): Promise<Uint8Array> {
  const out = new Uint8Array(size);
  let at = 0;
  try {
    const reader = blob.stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    for (let { done, value } = await reader.read(); !done && at < size; ) {
      out.set((value ?? new Uint8Array()).subarray(0, size - at), at);
      at += value?.length ?? 0;
      ({ done, value } = await reader.read());
    }
    await reader.cancel();
  } catch {
    at = 0; // damaged: said below
  }
  if (at < size) {
    throw new EdgeError("The PNG file is damaged: it ends too early.", "Save it again.");
  }
  return out;
}

/** Each line is stored as the difference to its neighbours, in one of five ways. */
function unfiltered(packed: Uint8Array, width: number, height: number, step: number): Uint8Array {
  const out = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const guess = GUESSES[packed[y * (width + 1)] ?? 0] ?? nothing;
    const from = y * (width + 1) + 1;
    const to = y * width;
    for (let x = 0; x < width; x++) {
      const left = x < step ? 0 : (out[to + x - step] ?? 0);
      const up = y === 0 ? 0 : (out[to + x - width] ?? 0);
      const corner = y === 0 || x < step ? 0 : (out[to + x - width - step] ?? 0);
      out[to + x] = (packed[from + x] ?? 0) + guess(left, up, corner);
    }
  }
  return out;
}

type Guess = (left: number, up: number, corner: number) => number;

const nothing: Guess = () => 0;

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

const GUESSES: readonly Guess[] = [
  nothing,
  (left) => left,
  (_, up) => up,
  (left, up) => (left + up) >> 1,
  paeth,
];

function looked(indices: Uint8Array, palette: Uint8Array): Uint8Array {
  const out = new Uint8Array(3 * indices.length);
  indices.forEach((index, i) => {
    out.set(palette.subarray(3 * index, 3 * index + 3), 3 * i);
  });
  return out;
}
