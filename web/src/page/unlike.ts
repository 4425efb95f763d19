/**
 * How unlike the training data an item is, read off the reference profile: the same numbers that
 * `edge_targets/runtime/watching.py` watches are looked up in what training saw of them.
 */

import type {
  Abstention,
  Profile,
  Signature,
  Sketch,
  Tensor,
  TensorSpec,
  Tensors,
} from "../contract";

const MAX_AN_ITEM = 1024; // values read of one item, as in watching.py
const MARGIN = 0.1; // of the range that training saw: what lies further out is outside
const SHARE = 0.01; // of a picture's values that may lie outside before it is worth a word

/** One watched feature of one item. */
export interface Feature {
  readonly name: string; // in profiles
  readonly reading: "column" | "value" | "mean" | "std";
  readonly values: readonly number[]; // one, or of a `value` the item's own
  readonly tensor: string;
}

/** A feature that training did not see like this. */
export interface Finding {
  readonly feature: string;
  readonly reading: Feature["reading"];
  readonly tensor: string;
  readonly value: number; // the one furthest out; not a number when it is missing
  readonly outside: number; // share of its values
  readonly low: number; // of what training saw
  readonly high: number;
  readonly deviations: number; // between `value` and the mean, in standard deviations
}

/** What of item `index` training did not see, the most unusual first; empty when all is usual. */
export function unlike(
  signature: Signature,
  profile: Profile,
  inputs: Tensors,
  index = 0,
  abstention: Abstention | null = null,
): readonly Finding[] {
  return features(signature, inputs, index, abstention)
    .flatMap((feature) => {
      const sketch = profile.sketches.get(feature.name);
      const found = sketch && judge(feature, sketch);
      return found ? [found] : [];
    })
    .sort((a, b) => b.deviations - a.deviations);
}

/** The watched numbers of one item's inputs, under the names that profiles have. */
export function features(
  signature: Signature,
  inputs: Tensors,
  index: number,
  abstention: Abstention | null,
): readonly Feature[] {
  const taken = new Set(outputNames(signature, abstention));
  const found: Feature[] = [];
  for (const spec of signature.inputs) {
    const tensor = inputs[spec.name];
    if (!tensor) continue;
    const own = featuresOf(spec, row(tensor, index));
    const titles = new Set(own.map(({ name }) => name));
    const named = own.map((feature) => {
      let { name } = feature;
      while (taken.has(name) || (name !== feature.name && titles.has(name))) {
        name = `${spec.name}.${name}`;
      }
      return { ...feature, name };
    });
    found.push(...named);
    for (const { name } of named) taken.add(name);
  }
  return found;
}

function featuresOf(spec: TensorSpec, values: readonly number[]): Feature[] {
  if (spec.shape.length === 2) {
    const names = columnNames(spec, values.length);
    return names.map((name, column) => ({
      ...{ name, reading: "column", tensor: spec.name },
      values: [values[column] ?? Number.NaN],
    }));
  }
  const step = thinned(values.length);
  const read = values.filter((_, place) => place % step === 0);
  const mean = read.reduce((sum, value) => sum + value, 0) / Math.max(read.length, 1);
  const squares = read.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const std = Math.sqrt(squares / Math.max(read.length, 1));
  const tensor = spec.name;
  return [
    { name: spec.name, reading: "value", values: read, tensor },
    { name: `${spec.name}.mean`, reading: "mean", values: [mean], tensor },
    { name: `${spec.name}.std`, reading: "std", values: [std], tensor },
  ];
}

function judge(feature: Feature, sketch: Sketch): Finding | null {
  const count = sketch.counts.reduce((sum, each) => sum + each, 0);
  const { minimum: low, maximum: high } = sketch;
  if (count === 0 || low === null || high === null) return null; // nothing is known
  const strange = feature.values.filter((value) => isOutside(value, sketch, low, high));
  const outside = strange.length / Math.max(feature.values.length, 1);
  if (outside < SHARE) return null;
  const mean = sketch.total / count;
  const deviation = Math.sqrt(Math.max(sketch.squares / count - mean ** 2, 0)) || margin(low, high);
  const distance = (value: number) => Math.abs(value - mean) / deviation;
  const furthest = strange.reduce((a, b) => (distance(b) > distance(a) ? b : a));
  return {
    ...{ feature: feature.name, reading: feature.reading, tensor: feature.tensor },
    ...{ value: furthest, outside, low, high },
    deviations: Number.isFinite(furthest) ? distance(furthest) : Number.POSITIVE_INFINITY,
  };
}

/** Beyond the range with its margin, in a bin that stayed empty, or missing where none was. */
function isOutside(value: number, sketch: Sketch, low: number, high: number): boolean {
  if (!Number.isFinite(value)) return sketch.nulls === 0;
  if (value < low - margin(low, high) || value > high + margin(low, high)) return true;
  if (value >= low && value <= high) {
    const bin = sketch.edges.filter((edge) => edge <= value).length;
    return sketch.counts[bin] === 0;
  }
  return false;
}

function margin(low: number, high: number): number {
  return MARGIN * (high - low) || Math.max(Math.abs(low) * 1e-3, 1e-6);
}

function outputNames(signature: Signature, abstention: Abstention | null): string[] {
  return signature.outputs.flatMap((spec, place) => {
    if (place === 0 && signature.labels.length > 0) {
      return ["confidence", "label", ...(abstention ? ["abstained"] : [])];
    }
    const width = spec.shape.slice(1).reduce((product, size) => product * Math.max(size, 1), 1);
    return columnNames(spec, width);
  });
}

function columnNames(spec: TensorSpec, width: number): readonly string[] {
  if (spec.columns.length > 0) return spec.columns;
  if (width === 1) return [spec.name];
  return Array.from({ length: width }, (_, place) => `${spec.name}[${place}]`);
}

function row({ shape, data }: Tensor, index: number): number[] {
  const size = shape.slice(1).reduce((product, length) => product * length, 1);
  return Array.from({ length: size }, (_, place) => data[index * size + place] ?? Number.NaN);
}

/** As in watching.py: the step shares no divisor with the size, so that it walks everywhere. */
function thinned(size: number): number {
  let step = Math.ceil(size / MAX_AN_ITEM);
  while (divisor(step, size) > 1) step += 1;
  return Math.max(step, 1);
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}
