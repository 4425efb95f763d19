/**
 * Bicubic resizing with a filter as wide as the shrinking asks for, in whole numbers (Keys 1981,
 * a = -1/2). Training resizes pictures with Pillow; a canvas smooths in ways of its own, and a
 * model may tell the two apart. So the arithmetic here is Pillow's: weights in 22 bits after the
 * point, one direction after the other, each pass rounded to bytes. Which comes first matters then;
 * that Pillow 13 begins with the height where it shrinks by more than twice as many pixels as the
 * width was found by trying 400 shapes.
 */

const SUPPORT = 2; // pixels that a weight reaches to either side
const BITS = 22;

/** Bytes of `width` × `height` pixels, `channels` a pixel. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

export function resized(pixels: Pixels, width: number, height: number): Pixels {
  const [fewer, shorter] = [pixels.width - width, pixels.height - height];
  if (shorter > 0 && shorter > 2 * fewer) return pass(pass(pixels, height, false), width, true);
  return pass(pass(pixels, width, true), height, false);
}

/** One direction: each line of pixels becomes `size` long. */
function pass(pixels: Pixels, size: number, across: boolean): Pixels {
  const { channels, data } = pixels;
  if (size === (across ? pixels.width : pixels.height)) return pixels;
  const [width, height] = across ? [size, pixels.height] : [pixels.width, size];
  const [length, lines] = across ? [pixels.width, pixels.height] : [pixels.height, pixels.width];
  const [step, stride] = across
    ? [channels, channels * pixels.width]
    : [channels * pixels.width, channels];
  const [outStep, outStride] = across ? [channels, channels * width] : [channels * width, channels];
  const out = new Uint8Array(width * height * channels);
  const weighted = weightsOf(length, size);
  const weigh = (line: number, at: number): void => {
    const { first, weights } = weighted[at] ?? NONE;
    const from = line * stride + first * step;
    const to = line * outStride + at * outStep;
    for (let channel = 0; channel < channels; channel++) {
      let sum = 2 ** (BITS - 1);
      for (let i = 0; i < weights.length; i++) {
        sum += (weights[i] ?? 0) * (data[from + i * step + channel] ?? 0);
      }
      out[to + channel] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** BITS)));
    }
  };
  // in the order of memory: a large photo is several times faster
  if (across) {
    for (let line = 0; line < lines; line++) for (let at = 0; at < size; at++) weigh(line, at);
  } else {
    for (let at = 0; at < size; at++) for (let line = 0; line < lines; line++) weigh(line, at);
  }
  return { width, height, channels, data: out };
}

interface Weights {
  readonly first: number; // the pixel that the first weight is for
  readonly weights: Int32Array;
}

const NONE: Weights = { first: 0, weights: new Int32Array() };

/** For each of `size` pixels what it takes from a line of `length` pixels. */
function weightsOf(length: number, size: number): Weights[] {
  const scale = length / size;
  const stretch = Math.max(1, scale);
  return Array.from({ length: size }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - SUPPORT * stretch + 0.5));
    const last = Math.min(length, Math.trunc(centre + SUPPORT * stretch + 0.5));
    const shares = Array.from({ length: last - first }, (_, i) =>
      cubic((i + first - centre + 0.5) * (1 / stretch)),
    );
    const total = shares.reduce((sum, share) => sum + share, 0);
    const whole = (share: number) => Math.trunc(share * 2 ** BITS + (share < 0 ? -0.5 : 0.5));
    return { first, weights: Int32Array.from(shares, (share) => whole(share / total)) };
  });
}

function cubic(place: number): number {
  const x = Math.abs(place);
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** How bright red, green and blue look together (ITU-R BT.601), in whole numbers. */
export function grey({ width, height, channels, data }: Pixels): Pixels {
  if (channels === 1) return { width, height, channels, data };
  const out = new Uint8Array(width * height);
  for (let i = 0; i < out.length; i++) {
    const [r, g, b] = [data[i * channels], data[i * channels + 1], data[i * channels + 2]];
    out[i] = ((r ?? 0) * 19595 + (g ?? 0) * 38470 + (b ?? 0) * 7471 + 0x8000) >> 16;
  }
  return { width, height, channels: 1, data: out };
}

/** Without what lies behind three channels: Pillow leaves transparency out, it does not mix. */
export function opaque({ width, height, channels, data }: Pixels): Pixels {
  if (channels === 3) return { width, height, channels, data };
  const out = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    for (let channel = 0; channel < 3; channel++) {
      out[3 * i + channel] = data[channels * i + (channels < 3 ? 0 : channel)] ?? 0;
    }
  }
  return { width, height, channels: 3, data: out };
}
