/** From pen strokes to the numbers an image model takes. No canvas here: only arithmetic. */

import type { Tensor, TensorSpec } from "../contract";
import { EdgeError } from "../read";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export type Stroke = readonly Point[];

/** How an image input is laid out, and the values between which its pixels lie. */
export interface ImageLayout {
  readonly name: string;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly channelsLast: boolean;
  readonly low: number; // no ink
  readonly high: number; // full ink
}

/** The layout of an input that is a picture; null for a table and the like. */
export function imageLayout(spec: TensorSpec): ImageLayout | null {
  const [, ...rest] = spec.shape;
  // two sizes may as well be a series of sensor readings: then the meaning must say it
  const flat = rest.length === 2 && /pixel|image|picture/i.test(spec.meaning);
  const sizes = flat ? [1, ...rest] : rest;
  const [a = 0, b = 0, c = 0] = sizes;
  if (sizes.length !== 3 || sizes.some((size) => size < 1)) return null;
  const { low, high } = valueRange(spec.unit);
  const common = { name: spec.name, low, high };
  if (a === 1 || a === 3) {
    return { ...common, channels: a, height: b, width: c, channelsLast: false };
  }
  if (c === 1 || c === 3) {
    return { ...common, channels: c, height: a, width: b, channelsLast: true };
  }
  return null;
}

/** The two numbers of a unit such as "0-16" or "-1–1"; 0 to 1 when it names none. */
export function valueRange(unit: string): { low: number; high: number } {
  const found = /^\s*(-?\d+(?:\.\d+)?)\s*(?:-|–|\.\.)\s*(-?\d+(?:\.\d+)?)/.exec(unit);
  return found ? { low: Number(found[1]), high: Number(found[2]) } : { low: 0, high: 1 };
}

/**
 * Strokes moved and scaled, shape kept, until their longer side fills a box of `size` less
 * `margin` on every side, centred: scans that models learn from are framed like that.
 */
export function fitStrokes(strokes: readonly Stroke[], size: number, margin: number): Stroke[] {
  const points = strokes.flat();
  if (points.length === 0) return [];
  const [left, right] = extent(points.map((point) => point.x));
  const [top, bottom] = extent(points.map((point) => point.y));
  const longest = Math.max(right - left, bottom - top);
  // a dot has no size to scale up: it stays a dot in the middle
  const scale = longest > 0 ? (size - 2 * margin) / longest : 1;
  const place = (value: number, low: number, high: number) =>
    (value - (low + high) / 2) * scale + size / 2;
  return strokes.map((stroke) =>
    stroke.map(({ x, y }) => ({ x: place(x, left, right), y: place(y, top, bottom) })),
  );
}

function extent(values: readonly number[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

/** How wide the pen is in scans of this size, and how far from their edge: in their pixels. */
export function penOf({ width, height }: ImageLayout): { pen: number; margin: number } {
  const size = Math.min(width, height);
  // Small scans (8×8) fill their frame with thick lines; larger ones (28×28) keep a border of a
  // seventh and have thinner lines.
  const pen = size <= 12 ? 0.16 * size : 0.085 * size;
  return { pen, margin: size <= 12 ? pen / 2 : size / 7 };
}

/** Means of equal blocks: `values` of `width` × `height` become `outWidth` × `outHeight`. */
export function meanPool(
  values: ArrayLike<number>,
  width: number,
  height: number,
  outWidth: number,
  outHeight: number,
): Float32Array {
  if (width % outWidth !== 0 || height % outHeight !== 0) {
    throw new EdgeError(`${width}×${height} pixels do not divide into ${outWidth}×${outHeight}.`);
  }
  const across = width / outWidth;
  const down = height / outHeight;
  const pooled = new Float32Array(outWidth * outHeight);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const block = Math.floor(y / down) * outWidth + Math.floor(x / across);
      pooled[block] = (pooled[block] ?? 0) + (values[y * width + x] ?? 0);
    }
  }
  return pooled.map((sum) => sum / (across * down));
}

/** One item for the model, from ink shares 0…1 of its pixels. */
export function inkTensor(ink: ArrayLike<number>, layout: ImageLayout): Tensor {
  const { channels, height, width, channelsLast, low, high } = layout;
  const pixels = height * width;
  const data = new Float32Array(channels * pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const value = low + (ink[pixel] ?? 0) * (high - low);
    for (let channel = 0; channel < channels; channel++) {
      data[channelsLast ? pixel * channels + channel : channel * pixels + pixel] = value;
    }
  }
  const sizes = channelsLast ? [height, width, channels] : [channels, height, width];
  return { shape: [1, ...sizes], data };
}

/** Ink shares 0…1 of an item's pixels, its channels averaged: the way back, for showing. */
export function inkOf(values: ArrayLike<number>, layout: ImageLayout): Float32Array {
  const { channels, height, width, channelsLast, low, high } = layout;
  const pixels = height * width;
  const ink = new Float32Array(pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let channel = 0; channel < channels; channel++) {
      const at = channelsLast ? pixel * channels + channel : channel * pixels + pixel;
      const share = ((values[at] ?? low) - low) / (high - low);
      ink[pixel] = (ink[pixel] ?? 0) + share / channels;
    }
  }
  return ink;
}

/** Item `index` of a batch, as a batch of one. */
export function item(tensor: Tensor, index: number): Tensor {
  const [, ...rest] = tensor.shape;
  const size = rest.reduce((product, length) => product * length, 1);
  const data = Array.prototype.slice.call(tensor.data, index * size, (index + 1) * size);
  return { shape: [1, ...rest], data };
}
