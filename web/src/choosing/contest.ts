/** Times engines against the one in use. */

import type { EngineChoice } from "../messages";
import { within } from "../within";

/** What was found out of one alternative; `ratio` of its time to the time of the one in use. */
export interface Finding {
  readonly choice: EngineChoice;
  readonly ratio: number; // 0 where it did not run
  readonly why: string; // it did not run or answered otherwise; empty when it answered the same
}

/** A model as far as it takes part in the contest. */
export interface Rival {
  /** Of runs on the same input, in ms. */
  time(runs: number): Promise<readonly number[]>;
  /** The labels of the golden inputs, or its values where it has none. */
  answers(): Promise<string>;
}

const GAIN = 0.85; // of the time: less of a gain is not worth another engine
const ROUNDS = 5;
const ROUND_MS = 100;
const MOST_RUNS = 20; // a round
const LIMIT_MS = 60_000; // for one alternative: an engine may hang instead of failing

/** Each alternative against the one in use, one after the other; `over` says when it is no more needed. */
export async function contest(
  running: Rival,
  choices: readonly EngineChoice[],
  open: (choice: EngineChoice, over: AbortSignal) => Promise<Rival>,
): Promise<Finding[]> {
  const found: Finding[] = [];
  for (const choice of choices) {
    const stop = new AbortController();
    const racing = open(choice, stop.signal).then((other) => race(running, other));
    const late = new Error("It did not come to an end in time.");
    try {
      const ratio = await within(racing, LIMIT_MS, late);
      found.push({ choice, ratio, why: ratio === 0 ? "It gives other answers." : "" });
    } catch (error) {
      await running.answers(); // throws where it was the one in use that failed
      const why = error instanceof Error ? error.message : String(error);
      found.push({ choice, ratio: 0, why });
    } finally {
      stop.abort(); // also one that hangs in its start
    }
  }
  return found;
}

/** Time of the other as a share of the first's; 0 where its answers are others. */
async function race(first: Rival, other: Rival): Promise<number> {
  return (await other.answers()) === (await first.answers()) ? compare(first, other) : 0;
}

export function fastest(found: readonly Finding[]): EngineChoice | null {
  const [best] = found
    .filter(({ ratio, why }) => why === "" && ratio <= GAIN)
    .sort((one, other) => one.ratio - other.ratio);
  return best?.choice ?? null;
}

/** Median time of the other as a share of the first's; by turns, so that both meet the same load. */
async function compare(first: Rival, other: Rival): Promise<number> {
  const [alone = 0] = await first.time(1);
  const runs = Math.max(1, Math.min(MOST_RUNS, Math.floor(ROUND_MS / Math.max(alone, 0.1))));
  await other.time(runs); // shaders and caches: the first runs are not like the others
  await first.time(runs);
  const [mine, theirs]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    mine.push(...(await first.time(runs)));
    theirs.push(...(await other.time(runs)));
  }
  return median(theirs) / median(mine);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
