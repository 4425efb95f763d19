/** Reading what is unknown: each function gives the value as what was asked for, or throws. */

/** What failed, and what to do next; the TypeScript sibling of Python's `EdgeError`. */
export class EdgeError extends Error {
  readonly hint: string;

  constructor(message: string, hint = "") {
    super(message);
    this.name = "EdgeError";
    this.hint = hint;
  }
}

export class WireError extends EdgeError {
  constructor(message: string) {
    super(message, "The file is damaged or was not made by Sanderling.");
    this.name = "WireError";
  }
}

export type Fields = Record<string, unknown>;
export type Reader<T> = (value: unknown, where: string) => T;

export function object(value: unknown, where: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new WireError(`${where}: expected an object, found ${kind(value)}.`);
  }
  return value as Fields;
}

export function text(value: unknown, where: string): string {
  if (typeof value !== "string") {
    throw new WireError(`${where}: expected text, found ${kind(value)}.`);
  }
  return value;
}

export function number(value: unknown, where: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new WireError(`${where}: expected a number, found ${kind(value)}.`);
  }
  return value;
}

export function integer(value: unknown, where: string): number {
  if (!Number.isInteger(value)) {
    throw new WireError(`${where}: expected a whole number, found ${kind(value)}.`);
  }
  return value as number;
}

export function list<T>(read: Reader<T>): Reader<T[]> {
  return (value, where) => {
    if (!Array.isArray(value)) {
      throw new WireError(`${where}: expected a list, found ${kind(value)}.`);
    }
    return value.map((item, index) => read(item, `${where}[${index}]`));
  };
}

/** Many numbers: as `list(number)`, without a name for each of them. */
export function numbers(value: unknown, where: string): number[] {
  if (!Array.isArray(value) || !value.every(Number.isFinite)) return list(number)(value, where);
  return value;
}

export function map<T>(read: Reader<T>): Reader<Map<string, T>> {
  return (value, where) =>
    new Map(
      Object.entries(object(value, where)).map(([name, item]) => [
        name,
        read(item, `${where}.${name}`),
      ]),
    );
}

export function others(fields: Fields, known: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !known.includes(name)));
}

function kind(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : `${typeof value}`;
}

/** What a file of JSON holds; `name` is the file's. */
export function parse(bytes: Uint8Array, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new EdgeError(`${name} is not JSON.`, "Make the bundle again with `sanderling bundle`.");
  }
}
