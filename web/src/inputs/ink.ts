/** From the photo of a drawing to ink: pen from paper, framed as scans are. Only arithmetic. */

import type { Tensor } from "../contract";
import { EdgeError } from "../read";
import { pictureTensor } from "./photos";
import { type ImageLayout, inkTensor, penOf } from "./pixels";
import { grey, opaque, type Pixels } from "./resize";

const SIDE = 256; // pixels of the longer side in which the pen is looked for
const FAINT = 24; // levels between pen and paper, below which there is no drawing
const SPECK = 2; // pixels: fewer in a row or column are dust

/** One item for a model of drawings; `meaning` is what its input says of itself. */
export function drawnTensor(given: Pixels, meaning: string, layout: ImageLayout): Tensor {
  const pixels = penOnNothing(given) ?? given;
  const { width, height } = layout;
  // pictures of the model's own size, and all where training read them as they are, are no photos
  const own = pixels.width === width && pixels.height === height;
  if (own || /brightness|photo/i.test(meaning)) {
    const [low, high] = [layout.low, layout.high].sort((a, b) => a - b);
    return pictureTensor(pixels, { ...layout, low: low ?? 0, high: high ?? 1 });
  }
  const size = Math.min(width, height);
  const square = inkIn(pixels, size, penOf(layout).margin);
  const ink = new Float32Array(width * height);
  const [left, top] = [Math.floor((width - size) / 2), Math.floor((height - size) / 2)];
  for (let y = 0; y < size; y++) {
    ink.set(square.subarray(y * size, (y + 1) * size), (top + y) * width + left);
  }
  return inkTensor(ink, layout);
}

/**
 * The opacity of a drawing whose colours tell nothing: of a dark pen on an empty canvas, as nothing
 * is black too. Null where they do.
 */
function penOnNothing(pixels: Pixels): Pixels | null {
  const { width, height, channels, data } = pixels;
  if (channels !== 4) return null;
  const opacity = Uint8Array.from({ length: width * height }, (_, i) => data[4 * i + 3] ?? 0);
  if (!opacity.includes(0) || spread(grey(pixels).data) >= FAINT) return null;
  return { width, height, channels: 1, data: opacity };
}

function spread(values: Pixels["data"]): number {
  let [low, high] = [255, 0];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return high - low;
}

/** Ink shares 0…1 over a square of `size` pixels with a margin around what was drawn. */
export function inkIn(pixels: Pixels, size: number, margin: number): Float32Array {
  const small = shrunk(grey(pixels.channels === 4 ? opaque(pixels) : pixels));
  const { low, high, paper } = levels(small.data);
  if (high - low < FAINT) {
    throw new EdgeError("There is no drawing to be seen.", "Use a dark pen on bright paper.");
  }
  const ink = Float32Array.from(small.data, (value) => {
    const share = (value - low) / (high - low);
    const dark = paper > (low + high) / 2 ? 1 - share : share;
    return Math.min(1, Math.max(0, (dark - 0.25) * 2)); // shadows on paper are no ink
  });
  return framed(ink, small.width, small.height, size, margin);
}

/** Means of blocks, until the longer side is short enough. */
function shrunk({ width, height, data }: Pixels): Pixels {
  const step = Math.max(1, Math.ceil(Math.max(width, height) / SIDE));
  const [across, down] = [
    Math.max(1, Math.floor(width / step)),
    Math.max(1, Math.floor(height / step)),
  ];
  const out = new Uint8Array(across * down);
  for (let i = 0; i < out.length; i++) {
    const [left, top] = [(i % across) * step, Math.floor(i / across) * step];
    let sum = 0;
    let count = 0;
    for (let y = top; y < Math.min(top + step, height); y++) {
      for (let x = left; x < Math.min(left + step, width); x++) {
        sum += data[y * width + x] ?? 0;
        count += 1;
      }
    }
    out[i] = sum / Math.max(1, count);
  }
  return { width: across, height: down, channels: 1, data: out };
}

/** The darkest and brightest levels but for a hundredth, and the one in the middle: the paper. */
function levels(data: ArrayLike<number>): { low: number; high: number; paper: number } {
  const sorted = Uint8Array.from(data).sort();
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  return { low: at(0.005), high: at(0.995), paper: at(0.5) };
}

function framed(
  ink: Float32Array,
  width: number,
  height: number,
  size: number,
  margin: number,
): Float32Array {
  const rows = new Array<number>(height).fill(0);
  const columns = new Array<number>(width).fill(0);
  ink.forEach((share, i) => {
    if (share < 0.5) return;
    const [x, y] = [i % width, Math.floor(i / width)];
    rows[y] = (rows[y] ?? 0) + 1;
    columns[x] = (columns[x] ?? 0) + 1;
  });
  const used = (counts: number[]) => {
    const speck = Math.min(SPECK, Math.max(...counts));
    const there = (count: number) => count > 0 && count >= speck;
    return [counts.findIndex(there), counts.findLastIndex(there) + 1] as const;
  };
  const [[top, bottom], [left, right]] = [used(rows), used(columns)];
  const longest = Math.max(right - left, bottom - top);
  const scale = longest / Math.max(1, size - 2 * margin); // pixels of the photo to one of the model
  const [midX, midY] = [(left + right) / 2, (top + bottom) / 2];
  return Float32Array.from({ length: size * size }, (_, i) => {
    const x = midX + ((i % size) - size / 2) * scale;
    const y = midY + (Math.floor(i / size) - size / 2) * scale;
    return mean(ink, width, height, x, y, scale);
  });
}

/** Of the square from (x, y) of so many pixels; outside the photo there is paper. */
function mean(
  ink: Float32Array,
  width: number,
  height: number,
  x: number,
  y: number,
  side: number,
): number {
  const steps = Math.max(2, Math.ceil(side));
  let sum = 0;
  for (let j = 0; j < steps; j++) {
    for (let i = 0; i < steps; i++) {
      const column = Math.floor(x + ((i + 0.5) * side) / steps);
      const row = Math.floor(y + ((j + 0.5) * side) / steps);
      const inside = column >= 0 && column < width && row >= 0 && row < height;
      sum += inside ? (ink[row * width + column] ?? 0) : 0;
    }
  }
  return sum / steps ** 2;
}
