/** The columns of a table: what a person should know of each, and rows as numbers. */

import type { Profile, Sketch, Tensor, TensorSpec } from "../contract";
import { EdgeError } from "../read";
import type { Item } from "./card";
import { delimiterOf, isMissing, numberIn, type Row, rowsOf, spelling } from "./cells";

const MOST_CHOICES = 32; // more codes than that are numbers

export interface Column {
  readonly name: string;
  readonly title: string; // the name without its unit
  readonly unit: string;
  readonly choices: readonly string[]; // of a category; a value is its index. Empty for numbers
  readonly low: number | null; // seen in training
  readonly high: number | null;
  readonly usual: number | null; // the middle of what was seen
}

/** `choices` may stand in the spec, by column: `{"choices": {"colour": ["red", "green"]}}`. */
export function columnsOf(spec: TensorSpec, profile: Profile | null): Column[] {
  const [, width = 0] = spec.shape;
  return Array.from({ length: width }, (_, i) => {
    const name = spec.columns[i] ?? (width === 1 ? spec.name : `${spec.name}[${i}]`);
    const sketch = profile?.sketches.get(`${spec.name}.${name}`) ?? profile?.sketches.get(name);
    const choices = choicesOf(spec, name);
    const [, title = name, unit = spec.unit] = /^(.*?)\s*[([]([^()[\]]+)[)\]]$/.exec(name) ?? [];
    const usual = sketch ? middle(sketch) : null;
    const codes = choices.length > 0;
    return {
      ...{ name, title, unit: codes ? "" : unit, choices },
      ...{ low: sketch?.minimum ?? null, high: sketch?.maximum ?? null, usual },
    };
  });
}

function choicesOf(spec: TensorSpec, name: string): readonly string[] {
  const all = spec.extra.choices;
  if (typeof all !== "object" || all === null) return [];
  const found: unknown = (all as Record<string, unknown>)[name];
  const words = Array.isArray(found) ? found : [];
  return words.every((word): word is string => typeof word === "string") &&
    words.length <= MOST_CHOICES
    ? words
    : [];
}

/** The value that half of what was counted lies below, as near as the bins tell. */
export function middle({ edges, counts, minimum, maximum }: Sketch): number | null {
  if (minimum === null || maximum === null) return null;
  const half = counts.reduce((sum, count) => sum + count, 0) / 2;
  let below = 0;
  for (const [bin, count] of counts.entries()) {
    if (count > 0 && below + count >= half) {
      const [from, to] = [edges[bin - 1] ?? minimum, edges[bin] ?? maximum];
      // a bin around one code, from half a step before to half a step behind it
      if (to - from === 1 && Number.isInteger(from + 0.5)) return from + 0.5;
      const [low, high] = [Math.max(minimum, from), Math.min(maximum, to)];
      return tidy(low + ((half - below) / count) * (high - low), maximum - minimum);
    }
    below += count;
  }
  return null;
}

/** With three digits of the range that values have: nobody types more. */
function tidy(value: number, range: number): number {
  const digits = range > 0 ? Math.max(0, 2 - Math.floor(Math.log10(range))) : 6;
  return Number(value.toFixed(Math.min(20, digits)));
}

/** The number that a text stands for in a column; not-a-number where it is missing. */
export function valueIn(column: Column, cell: string): number {
  if (isMissing(cell)) return Number.NaN;
  if (column.choices.length === 0) {
    const value = numberIn(cell);
    if (value === null)
      throw new EdgeError(`${column.title}: “${cell.trim()}” is no number.`, POINT);
    return value;
  }
  const spelled = spelling(column.choices);
  const index = column.choices.findIndex((choice) => spelled(choice) === spelled(cell));
  if (index < 0) {
    throw new EdgeError(
      `${column.title}: “${cell.trim()}” is none of ${column.choices.join(", ")}.`,
      "The model has learned no other value.",
    );
  }
  return index;
}

const POINT = "Write numbers with a point, such as 2.5; leave the cell empty if it is missing.";

export function rowTensor(values: readonly number[]): Tensor {
  return { shape: [1, values.length], data: Float32Array.from(values) };
}

/** A row by column; a column that is not named is missing. */
export function rowOf(
  columns: readonly Column[],
  row: Readonly<Record<string, number | string | null>>,
): number[] {
  const unknown = Object.keys(row).find((name) => !columns.some((column) => column.name === name));
  if (unknown !== undefined) {
    throw new EdgeError(
      `The model has no column “${unknown}”.`,
      `Its columns are ${told(columns)}.`,
    );
  }
  return columns.map((column) => {
    const value = row[column.name] ?? "";
    return typeof value === "number" ? value : valueIn(column, value);
  });
}

/** The rows of a pasted text or file: with a line of names in any order, or in the model's order. */
export function itemsIn(text: string, columns: readonly Column[], name: string): Item[] {
  const [first, ...rest] = rowsOf(text, delimiterOf(text));
  if (!first) throw new EdgeError("There is no row.", "Give numbers, parted by commas.");
  const titles = first.cells.map((cell) => columns.findIndex((one) => isTitle(one, cell)));
  const named = titles.some((index) => index >= 0);
  const missing = named ? columns.find((_, i) => !titles.includes(i)) : undefined;
  if (missing) {
    throw new EdgeError(
      `The first line has no column “${missing.name}”.`,
      `The columns are ${told(columns)}.`,
    );
  }
  const places = columns.map((_, i) => (named ? titles.indexOf(i) : i));
  const width = named ? first.cells.length : columns.length;
  const rows = named ? rest : [first, ...rest];
  if (rows.length === 0) throw new EdgeError("There are names and no rows.", "Add a row.");
  return rows.map((row) => itemOf(row, columns, places, width, name));
}

function isTitle({ name, title }: Column, cell: string): boolean {
  return [name, title].some((one) => one.toLowerCase() === cell.toLowerCase());
}

function itemOf(
  { line, cells }: Row,
  columns: readonly Column[],
  places: readonly number[],
  width: number,
  input: string,
): Item {
  const name = `line ${line}`;
  if (cells.length !== width) {
    const problem = `${cells.length} cells where ${width} are needed: ${told(columns)}.`;
    return { name, inputs: {}, problem };
  }
  try {
    const values = columns.map((column, i) => valueIn(column, cells[places[i] ?? 0] ?? ""));
    return { name, inputs: { [input]: rowTensor(values) } };
  } catch (error) {
    if (!(error instanceof EdgeError)) throw error;
    return { name, inputs: {}, problem: error.message };
  }
}

function told(columns: readonly Column[]): string {
  const names = columns.slice(0, 12).map(({ name }) => name);
  return names.join(", ") + (columns.length > 12 ? " …" : "");
}
