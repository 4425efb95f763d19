/** How numbers are told to people. */

const NUMBERS = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });
const COUNTS = new Intl.NumberFormat("en");

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

export function short(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "no number" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(3);
  return NUMBERS.format(value);
}

/** To tell of, not to compute with. */
export function rough(value: number): string {
  return short(Number(value.toPrecision(3)));
}

/** `3 items`, `1 item`. */
export function counted(count: number, noun: string): string {
  return `${COUNTS.format(count)} ${noun}${count === 1 ? "" : "s"}`;
}

export function milliseconds(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;
}

export function withUnit(value: number, unit: string): string {
  return unit ? `${short(value)} ${unit}` : short(value);
}
