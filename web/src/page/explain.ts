/**
 * Which parts of an input an answer rests on, found by taking them away one after the other
 * (occlusion; Zeiler and Fergus 2014): a patch of a picture or a stretch of a series becomes the
 * mean that training saw, a column of a table its median. What is told is by how much that lowers
 * the share of the class that was answered, or the number.
 */

import type { Profile, Signature, Sketch, Tensor, TensorSpec, Tensors } from "../contract";
import type { ImageLayout } from "../inputs/pixels";
import type { Prediction } from "../messages";

const PATCHES = 7; // across a picture: half a patch is the step from one to the next
const SEGMENTS = 24; // of a series
const VALUES = 1 << 20; // in one batch: some megabytes to the worker and back
const ITEMS = 16; // in one batch: between two of them the work can be stopped

/** Values of an item, by their places in its flat data, and what they become. */
export interface Part {
  readonly name: string;
  readonly places: readonly number[];
  readonly filler: number;
}

export interface Effect extends Part {
  readonly drop: number; // of the answered class's share, or of the number, when it is taken away
}

export type Ask = (inputs: Tensors) => Promise<Pick<Prediction, "outputs">>;

/** By how much each part's absence lowers the answer to one item. Stops when `signal` says so. */
export async function effects(
  signature: Signature,
  inputs: Tensors,
  input: string,
  parts: readonly Part[],
  ask: Ask,
  signal: AbortSignal,
  tell: (share: number) => void,
): Promise<readonly Effect[]> {
  const output = signature.outputs[0]?.name ?? "";
  const [base = []] = rows((await ask(inputs)).outputs[output]);
  // the class that was answered; of numbers the first
  const place = signature.labels.length > 0 ? base.indexOf(Math.max(...base)) : 0;
  const size = inputs[input]?.data.length ?? 0;
  const step = Math.max(1, Math.min(ITEMS, Math.floor(VALUES / Math.max(size, 1))));
  const found: Effect[] = [];
  for (let start = 0; start < parts.length; start += step) {
    signal.throwIfAborted();
    const some = parts.slice(start, start + step);
    const answered = rows((await ask(without(inputs, input, some))).outputs[output]);
    some.forEach((part, index) => {
      found.push({ ...part, drop: (base[place] ?? 0) - (answered[index]?.[place] ?? 0) });
    });
    tell(found.length / parts.length);
  }
  signal.throwIfAborted();
  return found;
}

/** A batch of copies of one item, from each of which one part is taken. */
function without(inputs: Tensors, input: string, parts: readonly Part[]): Tensors {
  const copies = Object.entries(inputs).map(([name, { shape, data }]): [string, Tensor] => {
    const all = new Float32Array(parts.length * data.length);
    parts.forEach(({ places, filler }, index) => {
      all.set(data, index * data.length);
      if (name !== input) return;
      for (const place of places) all[index * data.length + place] = filler;
    });
    return [name, { shape: [parts.length, ...shape.slice(1)], data: all }];
  });
  return Object.fromEntries(copies);
}

function rows(tensor: Tensor | undefined): number[][] {
  if (!tensor) return [];
  const [count = 0, ...rest] = tensor.shape;
  const size = rest.reduce((product, length) => product * length, 1);
  const { data } = tensor;
  return Array.from({ length: count }, (_, item) =>
    Array.from({ length: size }, (_, place) => data[item * size + place] ?? Number.NaN),
  );
}

/** Overlapping squares of a picture, all its channels. */
export function patches(layout: ImageLayout, profile: Profile): readonly Part[] {
  const { height, width, channels, channelsLast } = layout;
  const side = Math.max(2, Math.ceil(Math.min(height, width) / (PATCHES / 2)));
  const step = Math.max(1, Math.floor(side / 2));
  const filler = mean(profile.sketches.get(layout.name)) ?? layout.low;
  const found: Part[] = [];
  for (const top of starts(height, side, step)) {
    for (const left of starts(width, side, step)) {
      const places: number[] = [];
      for (let y = top; y < Math.min(top + side, height); y++) {
        for (let x = left; x < Math.min(left + side, width); x++) {
          const pixel = y * width + x;
          for (let channel = 0; channel < channels; channel++) {
            places.push(
              channelsLast ? pixel * channels + channel : channel * height * width + pixel,
            );
          }
        }
      }
      found.push({ name: `${left}, ${top}`, places, filler });
    }
  }
  return found;
}

/** The last one ends where the picture does. */
function starts(length: number, side: number, step: number): number[] {
  const last = Math.max(0, length - side);
  const found = [];
  for (let start = 0; start < last; start += step) found.push(start);
  return [...found, last];
}

/** Each column of a table. */
export function columns(spec: TensorSpec, profile: Profile): readonly Part[] {
  const width = Math.max(spec.shape[1] ?? 0, spec.columns.length);
  return Array.from({ length: width }, (_, place) => {
    const name = spec.columns[place] ?? (width === 1 ? spec.name : `${spec.name}[${place}]`);
    const sketch = profile.sketches.get(`${spec.name}.${name}`) ?? profile.sketches.get(name);
    return { name, places: [place], filler: median(sketch) ?? 0 };
  });
}

/** How readings lie in an item. */
export interface Stretch {
  readonly name: string; // of the input
  readonly samples: number;
  readonly channels: number;
  readonly channelsLast: boolean;
}

/** Stretches of a series or sound, all its channels. */
export function segments(
  { name, samples, channels, channelsLast }: Stretch,
  profile: Profile,
): readonly Part[] {
  const filler = mean(profile.sketches.get(name)) ?? 0;
  const count = Math.min(SEGMENTS, samples);
  return Array.from({ length: count }, (_, index) => {
    const [from, to] = [index, index + 1].map((edge) => Math.round((edge * samples) / count));
    const places: number[] = [];
    for (let time = from ?? 0; time < (to ?? 0); time++) {
      for (let channel = 0; channel < channels; channel++) {
        places.push(channelsLast ? time * channels + channel : channel * samples + time);
      }
    }
    return { name: `${(from ?? 0) + 1} to ${to}`, places, filler };
  });
}

/** The mean effect of the parts that cover each value: what a picture of it shows. */
export function heat(found: readonly Effect[], size: number): Float64Array {
  const sums = new Float64Array(size);
  const covers = new Float64Array(size);
  for (const { places, drop } of found) {
    for (const place of places) {
      sums[place] = (sums[place] ?? 0) + drop;
      covers[place] = (covers[place] ?? 0) + 1;
    }
  }
  return sums.map((sum, place) => sum / Math.max(covers[place] ?? 0, 1));
}

function mean(sketch: Sketch | undefined): number | null {
  const count = sketch?.counts.reduce((sum, each) => sum + each, 0) ?? 0;
  return sketch && count > 0 ? sketch.total / count : null;
}

/** The middle value, as near as the bins tell it: within its bin by the straight line. */
export function median(sketch: Sketch | undefined): number | null {
  if (!sketch || sketch.minimum === null || sketch.maximum === null) return null;
  const half = sketch.counts.reduce((sum, each) => sum + each, 0) / 2;
  let below = 0;
  for (const [bin, count] of sketch.counts.entries()) {
    if (below + count >= half && count > 0) {
      const low = Math.max(sketch.minimum, sketch.edges[bin - 1] ?? sketch.minimum);
      const high = Math.min(sketch.maximum, sketch.edges[bin] ?? sketch.maximum);
      // edges half a step around whole numbers part codes, between which there is nothing
      const coded = sketch.edges.every((edge) => edge - Math.floor(edge) === 0.5);
      if (coded) return Math.round((low + high) / 2);
      return low + ((half - below) / count) * (high - low);
    }
    below += count;
  }
  return null;
}
