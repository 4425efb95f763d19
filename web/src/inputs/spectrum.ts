/** Spectra of any length (Cooley and Tukey 1965; large primes by Bluestein 1970), and resampling. */

const DIRECT = 64; // a prime up to this is summed as it stands

export interface Complex {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/** The discrete Fourier transform of `re + i·im`, not scaled; of the inverse with `sign` 1. */
export function transform(given: Complex, sign: 1 | -1 = -1): Complex {
  const out = blank(given.re.length);
  if (given.re.length > 0) new Plan(given, out, sign).divide(given.re.length, 0, 1, 0);
  return out;
}

function blank(size: number): Complex {
  return { re: new Float64Array(size), im: new Float64Array(size) };
}

/** One transform: its length is divided by its smallest prime until a prime is left. */
class Plan {
  readonly #size: number;
  readonly #turns: Complex; // all roots of one
  readonly #held: Complex; // what one butterfly takes

  constructor(
    private readonly given: Complex,
    private readonly out: Complex,
    private readonly sign: 1 | -1,
  ) {
    this.#size = given.re.length;
    this.#turns = blank(this.#size);
    for (let i = 0; i < this.#size; i++) {
      this.#turns.re[i] = Math.cos((2 * Math.PI * i) / this.#size);
      this.#turns.im[i] = sign * Math.sin((2 * Math.PI * i) / this.#size);
    }
    this.#held = blank(this.#size);
  }

  /** Of every `step`-th value from `from` on, to `length` places from `to` on. */
  divide(length: number, from: number, step: number, to: number): void {
    const prime = smallestPrime(length);
    const part = length / prime;
    if (part === 1) {
      this.#leaf(length, from, step, to);
      return;
    }
    for (let r = 0; r < prime; r++) this.divide(part, from + r * step, step * prime, to + r * part);
    if (prime === 2) {
      this.#pairs(part, step, to);
      return;
    }
    const { re, im } = this.#held;
    for (let k = 0; k < part; k++) {
      for (let r = 0; r < prime; r++) {
        re[r] = this.out.re[to + r * part + k] ?? 0;
        im[r] = this.out.im[to + r * part + k] ?? 0;
      }
      this.#sums(prime, k, part, step, to + k);
    }
  }

  #leaf(length: number, from: number, step: number, to: number): void {
    const { re, im } = this.#held;
    for (let i = 0; i < length; i++) {
      re[i] = this.given.re[from + i * step] ?? 0;
      im[i] = this.given.im[from + i * step] ?? 0;
    }
    if (length <= DIRECT) {
      this.#sums(length, 0, 1, step, to);
      return;
    }
    const held = { re: re.slice(0, length), im: im.slice(0, length) };
    const found = bluestein(held, this.sign);
    this.out.re.set(found.re, to);
    this.out.im.set(found.im, to);
  }

  #pairs(part: number, step: number, to: number): void {
    const { re, im } = this.out;
    const { re: cos, im: sin } = this.#turns;
    for (let k = 0; k < part; k++) {
      const one = to + k;
      const other = one + part;
      const c = cos[k * step] ?? 0;
      const s = sin[k * step] ?? 0;
      const x = re[other] ?? 0;
      const y = im[other] ?? 0;
      const a = x * c - y * s;
      const b = x * s + y * c;
      re[other] = (re[one] ?? 0) - a;
      im[other] = (im[one] ?? 0) - b;
      re[one] = (re[one] ?? 0) + a;
      im[one] = (im[one] ?? 0) + b;
    }
  }

  /** As many sums of what is held as it has values: the k-th place and every `part`-th behind. */
  #sums(count: number, k: number, part: number, step: number, to: number): void {
    const size = this.#size;
    const { re: cos, im: sin } = this.#turns;
    const { re, im } = this.#held;
    for (let q = 0; q < count; q++) {
      const turn = ((k + q * part) * step) % size;
      let at = 0;
      let a = 0;
      let b = 0;
      for (let r = 0; r < count; r++) {
        const c = cos[at] ?? 0;
        const s = sin[at] ?? 0;
        const x = re[r] ?? 0;
        const y = im[r] ?? 0;
        a += x * c - y * s;
        b += x * s + y * c;
        at += turn;
        if (at >= size) at -= size;
      }
      this.out.re[to + q * part] = a;
      this.out.im[to + q * part] = b;
    }
  }
}

/** A length that does not divide, by way of a convolution of a length that does. */
function bluestein({ re, im }: Complex, sign: 1 | -1): Complex {
  const size = re.length;
  let long = 1;
  while (long < 2 * size - 1) long *= 2;
  const [chirp, a, b] = [blank(size), blank(long), blank(long)];
  for (let i = 0; i < size; i++) {
    const angle = (Math.PI * ((i * i) % (2 * size))) / size;
    const [c, s] = [Math.cos(angle), sign * Math.sin(angle)];
    chirp.re[i] = c;
    chirp.im[i] = s;
    a.re[i] = (re[i] ?? 0) * c - (im[i] ?? 0) * s;
    a.im[i] = (re[i] ?? 0) * s + (im[i] ?? 0) * c;
    for (const place of i ? [i, long - i] : [0]) {
      b.re[place] = c;
      b.im[place] = -s;
    }
  }
  const [one, other] = [transform(a), transform(b)];
  const product = times(one, other);
  const found = transform(product, 1);
  const out = blank(size);
  for (let i = 0; i < size; i++) {
    const [x, y] = [(found.re[i] ?? 0) / long, (found.im[i] ?? 0) / long];
    out.re[i] = x * (chirp.re[i] ?? 0) - y * (chirp.im[i] ?? 0);
    out.im[i] = x * (chirp.im[i] ?? 0) + y * (chirp.re[i] ?? 0);
  }
  return out;
}

function times(a: Complex, b: Complex): Complex {
  const out = blank(a.re.length);
  for (let i = 0; i < a.re.length; i++) {
    const [x, y, u, v] = [a.re[i] ?? 0, a.im[i] ?? 0, b.re[i] ?? 0, b.im[i] ?? 0];
    out.re[i] = x * u - y * v;
    out.im[i] = x * v + y * u;
  }
  return out;
}

function smallestPrime(size: number): number {
  for (let prime = 2; prime * prime <= size; prime++) if (size % prime === 0) return prime;
  return size;
}

/** At another rate, by way of the spectrum: what the new rate cannot hold is cut off. */
export function resampled(values: Float32Array, rate: number, wanted: number): Float32Array {
  if (rate === wanted || values.length === 0) return values;
  // a second copy of silence behind it: the spectrum takes the end for a neighbour of the start
  const count = Math.ceil((values.length * wanted) / rate);
  const step = rate / greatestDivisor(rate, wanted);
  const long = Math.ceil((2 * values.length) / step) * step;
  const size = Math.floor((long * wanted) / rate);
  const padded = blank(long);
  padded.re.set(values);
  const spectrum = transform(padded);
  const kept = blank(size);
  const both = Math.min(Math.floor(long / 2), Math.floor(size / 2));
  for (let k = 0; k <= both; k++) {
    const [x, y] = [spectrum.re[k] ?? 0, spectrum.im[k] ?? 0];
    kept.re[k] = x;
    if (k === 0 || 2 * k === size) continue; // these stand for themselves alone
    kept.im[k] = y;
    kept.re[size - k] = x;
    kept.im[size - k] = -y;
  }
  const found = transform(kept, 1).re;
  return Float32Array.from({ length: count }, (_, i) =>
    Math.min(1, Math.max(-1, (found[i] ?? 0) / long)),
  );
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

/** Exactly `length` samples: the loudest stretch of a longer clip, silence around a shorter. */
export function ofLength(values: Float32Array, length: number): Float32Array {
  const missing = length - values.length;
  if (missing >= 0) {
    const out = new Float32Array(length);
    out.set(values, Math.floor(missing / 2));
    return out;
  }
  const energy = new Float64Array(values.length + 1);
  for (let i = 0; i < values.length; i++) energy[i + 1] = (energy[i] ?? 0) + (values[i] ?? 0) ** 2;
  let [start, most] = [0, Number.NEGATIVE_INFINITY];
  for (let i = 0; i + length <= values.length; i++) {
    const here = (energy[i + length] ?? 0) - (energy[i] ?? 0);
    if (here > most) [start, most] = [i, here];
  }
  return values.slice(start, start + length);
}
