/** Readings as text: windows of a series, one line a moment, one column a channel. */

import type { Tensor } from "../contract";
import { EdgeError } from "../read";
import type { Item } from "./card";
import { delimiterOf, isMissing, numberIn, rowsOf } from "./cells";
import type { SeriesLayout } from "./kinds";

const FLAT = /[\s,;]+/; // between the numbers of one channel, however they are laid out

/** The readings of each channel, as many as the text has. */
export function readingsIn(text: string, layout: SeriesLayout): Float64Array[] {
  const flat = layout.channels.length === 1 ? flatNumbers(text) : null;
  return flat ? [flat] : columnsIn(text, layout);
}

/** Numbers and nothing else, in lines or rows; null when there is a word among them. */
function flatNumbers(text: string): Float64Array | null {
  const cells = text
    .trim()
    .split(FLAT)
    .filter((cell) => cell !== "");
  const values = cells.map((cell) => (isMissing(cell) ? Number.NaN : numberIn(cell)));
  return values.every((value) => value !== null) ? Float64Array.from(values) : null;
}

/** A table with names or without; columns that are no numbers, such as times, are left out. */
function columnsIn(text: string, { channels }: SeriesLayout): Float64Array[] {
  const rows = rowsOf(text, spacesOr(text));
  const [first] = rows;
  if (!first) throw new EdgeError("There are no numbers.", "Paste numbers, or choose a file.");
  const lower = first.cells.map((cell) => cell.toLowerCase());
  const named = channels.map((channel) => lower.indexOf(channel.toLowerCase()));
  const header =
    first.cells.some((cell) => !isMissing(cell) && numberIn(cell) === null) && rows.length > 1;
  const body = header ? rows.slice(1) : rows;
  const numeric = first.cells
    .map((_, i) => i)
    .filter((i) => body.every(({ cells }) => isNumeric(cells[i] ?? "")));
  const chosen = named.every((place) => place >= 0) ? named : numeric;
  if (chosen.length !== channels.length) {
    throw new EdgeError(
      `${chosen.length} columns of numbers where the model takes ${channels.length}: ` +
        `${channels.join(", ")}.`,
      "Give one column a channel, in that order or with their names in the first line.",
    );
  }
  return chosen.map((place) =>
    Float64Array.from(body, ({ line, cells }) => {
      const cell = cells[place] ?? "";
      if (!isNumeric(cell)) throw new EdgeError(`Line ${line}: “${cell}” is no number.`);
      return isMissing(cell) ? Number.NaN : (numberIn(cell) ?? Number.NaN);
    }),
  );
}

function isNumeric(cell: string): boolean {
  return isMissing(cell) || numberIn(cell) !== null;
}

function spacesOr(text: string): string {
  const delimiter = delimiterOf(text);
  const [line = ""] = text.trim().split("\n");
  return line.includes(delimiter) ? delimiter : " ";
}

/** As many readings as the model takes, from `start`. */
export function windowTensor(
  readings: readonly Float64Array[],
  start: number,
  { shape, samples, channels, channelsLast }: SeriesLayout,
): Tensor {
  const data = new Float32Array(samples * channels.length);
  readings.forEach((values, channel) => {
    for (let i = 0; i < samples; i++) {
      const place = channelsLast ? i * channels.length + channel : channel * samples + i;
      data[place] = values[start + i] ?? Number.NaN;
    }
  });
  return { shape, data };
}

/** The readings of one item again, a channel each: the way back, for showing. */
export function readingsOf({ data }: Tensor, layout: SeriesLayout): Float64Array[] {
  const { samples, channels, channelsLast } = layout;
  return channels.map((_, channel) =>
    Float64Array.from({ length: samples }, (_, i) => {
      const place = channelsLast ? i * channels.length + channel : channel * samples + i;
      return data[place] ?? Number.NaN;
    }),
  );
}

/** The last readings, which are the newest. */
export function newestStart(readings: readonly Float64Array[], { samples }: SeriesLayout): number {
  const count = readings[0]?.length ?? 0;
  if (count < samples) {
    throw new EdgeError(
      `${count} readings where the model takes ${samples}.`,
      `Give ${samples} or more, one line a moment.`,
    );
  }
  return count - samples;
}

/** A long series in windows side by side; what is left over at its end is not asked. */
export function windowsOf(readings: readonly Float64Array[], layout: SeriesLayout): Item[] {
  newestStart(readings, layout); // long enough for one
  const count = Math.floor((readings[0]?.length ?? 0) / layout.samples);
  return Array.from({ length: count }, (_, i) => {
    const start = i * layout.samples;
    const name = `readings ${start + 1} to ${start + layout.samples}`;
    return { name, inputs: { [layout.name]: windowTensor(readings, start, layout) } };
  });
}
