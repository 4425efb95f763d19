/** Which kind of input a model takes, by shape, meaning and unit. */

import type { TensorSpec } from "../contract";
import { type ImageLayout, imageLayout } from "./pixels";

export type Kind = "drawing" | "picture" | "sound" | "series" | "table" | "other";

const MOST_FIELDS = 64; // of a form; who has more numbers than that has them in a file
const DRAWN = 64; // pixels a side: nobody draws a photo
const PICTURE = /pixel|image|picture|photo|ink|brightness|gr[ea]y|scan|drawing/i;
const SERIES = /series|signal|window|waveform|sensor|samples/i;

/** `labels` help: single characters are written by hand. */
export function kindOf(spec: TensorSpec, labels: readonly string[] = []): Kind {
  if (/string|object|bool/.test(spec.dtype)) return "other";
  if (soundLayout(spec)) return "sound";
  const picture = imageLayout(spec);
  if (picture) return pictureKind(spec, picture, labels);
  if (isTable(spec)) return "table";
  return seriesLayout(spec) ? "series" : "other";
}

function pictureKind(spec: TensorSpec, layout: ImageLayout, labels: readonly string[]): Kind {
  if (layout.channels === 3) return "picture";
  const words = `${spec.name} ${spec.meaning}`;
  // one channel without a word for it may be the features of a sound: those are seldom square
  if (!PICTURE.test(words) && (spec.meaning || layout.width !== layout.height)) return "other";
  if (Math.max(layout.width, layout.height) > DRAWN) return "picture";
  const written = labels.length > 1 && labels.every((label) => [...label].length === 1);
  return written || !/brightness|photo/i.test(spec.meaning) ? "drawing" : "picture";
}

function isTable({ shape, columns, name, meaning }: TensorSpec): boolean {
  const [, width = 0] = shape;
  if (shape.length !== 2 || width < 1) return false;
  if (columns.length > 0) return columns.length === width;
  return width <= MOST_FIELDS && !SERIES.test(`${name} ${meaning}`);
}

/** A clip of one channel, between -1 and 1. */
export interface SoundLayout {
  readonly name: string;
  readonly shape: readonly number[]; // of one item, the batch included
  readonly rate: number; // hertz
  readonly samples: number;
}

/** The rate stands in the unit, as toolkit/data/audio.py writes it. */
export function soundLayout({ name, shape, unit }: TensorSpec): SoundLayout | null {
  const rate = Number(/ at (\d+) Hz$/.exec(unit)?.[1] ?? 0);
  const sizes = shape.slice(1);
  const samples = Math.max(0, ...sizes);
  if (rate === 0 || samples < 2 || sizes.filter((size) => size !== 1).length !== 1) return null;
  return { name, shape: [1, ...sizes], rate, samples };
}

/** Readings of one or several channels, one after another. */
export interface SeriesLayout {
  readonly name: string;
  readonly shape: readonly number[]; // of one item, the batch included
  readonly samples: number;
  readonly channels: readonly string[]; // a name each
  readonly channelsLast: boolean;
  readonly unit: string;
}

export function seriesLayout(spec: TensorSpec): SeriesLayout | null {
  const sizes = spec.shape.slice(1);
  if (sizes.some((size) => size < 1) || sizes.length < 1 || sizes.length > 2) return null;
  const [a, b] = sizes.length === 1 ? [1, sizes[0] ?? 0] : [sizes[0] ?? 0, sizes[1] ?? 0];
  if (a * b < 2) return null;
  const named = spec.columns.length;
  // without names the shorter axis has the channels, as a window is longer than it is wide
  const channelsLast = sizes.length === 2 && (named > 0 ? named === b : b < a);
  const [count, samples] = channelsLast ? [b, a] : [a, b];
  const channels = Array.from({ length: count }, (_, i) => {
    return (named === count && spec.columns[i]) || (count === 1 ? "value" : `channel ${i + 1}`);
  });
  const { name, unit } = spec;
  return { name, shape: [1, ...sizes], samples, channels, channelsLast, unit };
}
