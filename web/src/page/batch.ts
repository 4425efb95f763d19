/** Many items at once: dropped files, folders or a CSV become a table of answers to download. */

import type { Manifest, Profile, Signature, Tensor, Tensors } from "../contract";
import type { Item } from "../inputs/card";
import type { Answer, Prediction } from "../messages";
import { type Cell, csv } from "./csv";
import { unlike } from "./unlike";

const ITEMS = 32; // asked at a time: between two of them the work can be stopped
const VALUES = 1 << 20; // of one input asked at a time: some megabytes to the worker

export interface Row {
  readonly name: string;
  readonly problem: string; // why there is no answer; else empty
  readonly answer: Answer;
  readonly values: readonly number[]; // of the first output
  readonly unlike: boolean; // the training data
}

export type Ask = (inputs: Tensors) => Promise<Pick<Prediction, "answers" | "outputs">>;

/** Answers in the order of `items`; stops between two requests when `signal` says so. */
export async function* answered(
  { signature, abstention }: Manifest,
  profile: Profile,
  items: readonly Item[],
  ask: Ask,
  signal: AbortSignal,
): AsyncGenerator<readonly Row[]> {
  for (const some of groups(items)) {
    if (signal.aborted) return;
    const good = some.filter(({ problem }) => problem === undefined);
    const found = good.length > 0 ? await ask(joined(good.map(({ inputs }) => inputs))) : null;
    const output = found?.outputs[signature.outputs[0]?.name ?? ""];
    yield some.map((item): Row => {
      const place = good.indexOf(item);
      const { name, problem = "" } = item;
      if (place < 0) return { name, problem, answer: {}, values: [], unlike: false };
      const findings = unlike(signature, profile, item.inputs, 0, abstention);
      return {
        ...{ name, problem, answer: found?.answers[place] ?? {} },
        ...{ values: row(output, place), unlike: findings.length > 0 },
      };
    });
  }
}

/** Neighbours of one shape that are not too much for one request. */
function* groups(items: readonly Item[]): Generator<readonly Item[]> {
  let group: Item[] = [];
  let size = 0;
  let form = "";
  for (const item of items) {
    const own = Object.values(item.inputs).reduce((sum, { data }) => sum + data.length, 0);
    const shape = Object.values(item.inputs).map((tensor) => tensor.shape.slice(1));
    const fits = item.problem !== undefined || form === "" || form === String(shape);
    if (group.length > 0 && (!fits || group.length >= ITEMS || size + own > VALUES)) {
      yield group;
      [group, size, form] = [[], 0, ""];
    }
    group.push(item);
    size += own;
    if (item.problem === undefined) form = String(shape);
  }
  if (group.length > 0) yield group;
}

/** One batch of several items. */
export function joined(items: readonly Tensors[]): Tensors {
  const [first = {}] = items;
  const names = Object.entries(first).map(([name, { shape }]): [string, Tensor] => {
    const parts = items.map((item) => item[name]?.data ?? []);
    const data = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let end = 0;
    for (const part of parts) {
      data.set(part, end);
      end += part.length;
    }
    return [name, { shape: [items.length, ...shape.slice(1)], data }];
  });
  return Object.fromEntries(names);
}

function row(tensor: Tensor | undefined, place: number): number[] {
  if (!tensor) return [];
  const size = tensor.shape.slice(1).reduce((product, length) => product * length, 1);
  return Array.from({ length: size }, (_, i) => tensor.data[place * size + i] ?? Number.NaN);
}

/** All of it, for a spreadsheet: a column for each class, or for each number. */
export function table(signature: Signature, rows: readonly Row[]): string {
  const { labels, outputs } = signature;
  const width = rows.reduce((most, { values }) => Math.max(most, values.length), 0);
  const [spec] = outputs;
  const names = Array.from({ length: width }, (_, place) => {
    const name = width === 1 ? spec?.name : `${spec?.name}[${place}]`;
    return labels[place] ?? spec?.columns[place] ?? name ?? "";
  });
  const classes = labels.length > 0 ? ["answer", "confidence", "abstained"] : [];
  return csv(
    ["item", ...classes, ...names, "unlike_training", "problem"],
    rows.map(({ name, problem, answer, values, unlike }): Cell[] => {
      const { label, confidence, abstained } = answer;
      const told = problem ? [null, null, null] : [label, confidence, abstained ? 1 : 0];
      const padded = Array.from({ length: width }, (_, place) => values[place]);
      const own = labels.length > 0 ? told : [];
      return [name, ...own, ...padded, problem ? null : unlike ? 1 : 0, problem];
    }),
  );
}
