/** Spectra of any length (Cooley and Tukey 1965; large primes by Bluestein 1970), and resampling. */

const DIRECT = 64; // a prime up to this is summed as it stands

export interface Complex {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/** The discrete Fourier transform of `re + i·im`, not scaled; of the inverse with `sign` 1. */
export function transform({ re, im }: Complex, sign: 1 | -1 = -1): Complex {
  const size = re.length;
  const [cos, sin] = [new Float64Array(size), new Float64Array(size)];
  for (let i = 0; i < size; i++) {
    cos[i] = Math.cos((2 * Math.PI * i) / size);
    sin[i] = sign * Math.sin((2 * Math.PI * i) / size);
  }
  const out = { re: new Float64Array(size), im: new Float64Array(size) };
  const held = { re: new Float64Array(size), im: new Float64Array(size) }; // one butterfly's
  const divide = (length: number, from: number, step: number, to: number): void => {
    const prime = smallestPrime(length);
    const part = length / prime;
    if (part === 1 && prime > DIRECT) {
      const found = bluestein(every({ re, im }, from, step, length), sign);
      out.re.set(found.re, to);
      out.im.set(found.im, to);
      return;
    }
    if (part === 1) {
      sum({ re, im }, from, step, 0, length, step, to, 1);
      return;
    }
    for (let r = 0; r < prime; r++) divide(part, from + r * step, step * prime, to + r * part);
    for (let k = 0; k < part; k++) {
      for (let r = 0; r < prime; r++) {
        held.re[r] = out.re[to + r * part + k] ?? 0;
        held.im[r] = out.im[to + r * part + k] ?? 0;
      }
      sum(held, 0, 1, k, prime, step, to + k, part);
    }
  };
  /** `count` sums of as many values, each turned: the k-th of the transform and every `part`-th. */
  const sum = (
    given: Complex,
    from: number,
    stride: number,
    k: number,
    count: number,
    step: number,
    to: number,
    part: number,
  ): void => {
    for (let q = 0; q < count; q++) {
      let a = 0;
      let b = 0;
      for (let r = 0; r < count; r++) {
        const turn = (r * (k + q * part) * step) % size;
        const c = cos[turn] ?? 0;
        const s = sin[turn] ?? 0;
        const x = given.re[from + r * stride] ?? 0;
        const y = given.im[from + r * stride] ?? 0;
        a += x * c - y * s;
        b += x * s + y * c;
      }
      out.re[to + q * part] = a;
      out.im[to + q * part] = b;
    }
  };
  if (size > 0) divide(size, 0, 1, 0);
  return out;
}

/** A length that does not divide, by way of a convolution of a length that does. */
function bluestein({ re, im }: Complex, sign: 1 | -1): Complex {
  const size = re.length;
  let long = 1;
  while (long < 2 * size - 1) long *= 2;
  const [chirpRe, chirpIm] = [new Float64Array(size), new Float64Array(size)];
  const a = { re: new Float64Array(long), im: new Float64Array(long) };
  const b = { re: new Float64Array(long), im: new Float64Array(long) };
  for (let i = 0; i < size; i++) {
    const angle = (Math.PI * ((i * i) % (2 * size))) / size;
    const [c, s] = [Math.cos(angle), sign * Math.sin(angle)];
    chirpRe[i] = c;
    chirpIm[i] = s;
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
  const out = { re: new Float64Array(size), im: new Float64Array(size) };
  for (let i = 0; i < size; i++) {
    const [x, y] = [(found.re[i] ?? 0) / long, (found.im[i] ?? 0) / long];
    out.re[i] = x * (chirpRe[i] ?? 0) - y * (chirpIm[i] ?? 0);
    out.im[i] = x * (chirpIm[i] ?? 0) + y * (chirpRe[i] ?? 0);
  }
  return out;
}

function times(a: Complex, b: Complex): Complex {
  const out = { re: new Float64Array(a.re.length), im: new Float64Array(a.re.length) };
  for (let i = 0; i < a.re.length; i++) {
    const [x, y, u, v] = [a.re[i] ?? 0, a.im[i] ?? 0, b.re[i] ?? 0, b.im[i] ?? 0];
    out.re[i] = x * u - y * v;
    out.im[i] = x * v + y * u;
  }
  return out;
}

function every({ re, im }: Complex, from: number, step: number, count: number): Complex {
  const pick = (values: Float64Array) =>
    Float64Array.from({ length: count }, (_, i) => values[from + i * step] ?? 0);
  return { re: pick(re), im: pick(im) };
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
  const padded = { re: new Float64Array(long), im: new Float64Array(long) };
  padded.re.set(values);
  const spectrum = transform(padded);
  const kept = { re: new Float64Array(size), im: new Float64Array(size) };
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
