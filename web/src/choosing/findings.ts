/** What this browser remembers of one folder's engines, from one visit to the next. */

import type { EngineChoice } from "../messages";
import { EdgeError, type Fields, integer, list, number, object, text } from "../read";
import type { Finding } from "./contest";

export interface Findings {
  readonly digest: string; // of the bundle that they were timed with
  readonly chosen: EngineChoice | null; // nothing: the usual one
  readonly found: readonly Finding[];
  readonly begun: number; // probes, or starts with the chosen one, that have not come to an end
}

/** The storage is the browser's own, which throws where it is blocked. */
export class Memory {
  readonly #place: string;

  constructor(
    base: URL,
    private readonly storage: () => Storage,
  ) {
    this.#place = `sanderling engine ${base.pathname}`;
  }

  /** Nothing where nothing was found out, or the browser keeps nothing. */
  read(): Findings | null {
    try {
      const kept = this.storage().getItem(this.#place);
      return kept === null ? null : readFindings(JSON.parse(kept));
    } catch {
      return null;
    }
  }

  /** Whether it was kept. */
  write(findings: Findings): boolean {
    try {
      this.storage().setItem(this.#place, JSON.stringify({ schema: 1, ...findings }));
      return true;
    } catch {
      return false;
    }
  }
}

function readFindings(value: unknown): Findings {
  const fields = object(value, "engine");
  return {
    digest: text(fields.digest, "engine.digest"),
    chosen: fields.chosen === null ? null : readChoice(object(fields.chosen, "engine.chosen")),
    found: list(readFinding)(fields.found, "engine.found"),
    begun: integer(fields.begun, "engine.begun"),
  };
}

function readFinding(value: unknown, where: string): Finding {
  const fields = object(value, where);
  return {
    choice: readChoice(object(fields.choice, `${where}.choice`)),
    ratio: number(fields.ratio, `${where}.ratio`),
    why: text(fields.why, `${where}.why`),
  };
}

function readChoice(fields: Fields): EngineChoice {
  const { accelerator } = fields;
  if (accelerator !== "wasm" && accelerator !== "webgpu") throw new EdgeError("No such engine.");
  return { accelerator, threads: integer(fields.threads, "threads") };
}
