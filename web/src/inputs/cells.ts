/** Tables as text: cells and what they stand for, as toolkit/data/table.py reads them. */

import { EdgeError } from "../read";

const MISSING = new Set(["", "na", "n/a", "nan", "null", "none", "?"]);
const LARGEST = 3.4028234663852886e38; // inputs are float32
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i; // Number() takes "0x10" and "" as well

export function isMissing(cell: string): boolean {
  return MISSING.has(cell.trim().toLowerCase());
}

/** The number that a cell is; null for words, and for what no float32 can hold. */
export function numberIn(cell: string): number | null {
  const text = cell.trim();
  const value = NUMBER.test(text) ? Number(text) : Number.NaN;
  return Math.abs(value) <= LARGEST ? value : null;
}

/** How equal values become one text: among whole numbers, 01 and 1.0 are 1. */
export function spelling(values: readonly string[]): (text: string) => string {
  const whole = (text: string) => Number.isInteger(numberIn(text) ?? Number.NaN);
  const all = values.length > 0 && values.every(whole);
  return (text) => (all && whole(text) ? String(Number(text)) : text.trim());
}

/** What parts the cells of a text: as many of it in the first line as of no other. */
export function delimiterOf(text: string): string {
  const line = text.split(/\r?\n/).find((one) => one.trim()) ?? "";
  const count = (mark: string) => line.split(mark).length - 1;
  const marks = ["\t", ";", ","].sort((a, b) => count(b) - count(a));
  const [best = ","] = marks;
  return count(best) > 0 ? best : ",";
}

export interface Row {
  readonly line: number; // in the text, from 1
  readonly cells: readonly string[];
}

/** The rows of a text with cells parted by `delimiter` (RFC 4180); empty lines are left out. */
export function rowsOf(text: string, delimiter: string): Row[] {
  const rows: Row[] = [];
  let cells: string[] = [];
  let cell = "";
  let quoted = false;
  let line = 1;
  let start = 1; // of the row: a quoted cell may hold several lines
  const end = () => {
    cells.push(cell.trim());
    if (cells.some((one) => one !== "")) rows.push({ line: start, cells });
    [cells, cell] = [[], ""];
  };
  for (let i = 0; i < text.length; i++) {
    const letter = text[i] ?? "";
    if (letter === "\n") line += 1;
    if (quoted && letter === '"' && text[i + 1] === '"') {
      cell += '"';
      i += 1;
    } else if (quoted) {
      if (letter === '"') quoted = false;
      else cell += letter;
    } else if (letter === '"' && cell.trim() === "") {
      [quoted, cell] = [true, ""];
    } else if (letter === delimiter) {
      cells.push(cell.trim());
      cell = "";
    } else if (letter === "\n") {
      end();
      start = line;
    } else if (letter !== "\r") {
      cell += letter;
    }
  }
  if (quoted) throw new EdgeError(`Line ${start}: a quotation mark is never closed.`, "Close it.");
  end();
  return rows;
}
