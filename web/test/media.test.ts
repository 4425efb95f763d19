import { expect, test } from "vitest";
import { inkIn } from "../src/inputs/ink";
import { grey, resized } from "../src/inputs/resize";
import { ofLength, resampled, transform } from "../src/inputs/spectrum";
import { readWav } from "../src/inputs/wav";

test("a spectrum is the sum that defines it, for every kind of length", () => {
  for (const size of [1, 2, 12, 67, 45, 2 * 67]) {
    const re = Float64Array.from({ length: size }, (_, i) => Math.sin(i * i) + i / size);
    const im = Float64Array.from({ length: size }, (_, i) => Math.cos(3 * i));

    const found = transform({ re, im });
    const back = transform(found, 1);

    for (const k of [0, size >> 1, size - 1]) {
      const angle = (i: number) => (-2 * Math.PI * i * k) / size;
      const sum = re.reduce(
        (s, x, i) => s + x * Math.cos(angle(i)) - (im[i] ?? 0) * Math.sin(angle(i)),
        0,
      );
      expect(found.re[k]).toBeCloseTo(sum, 9);
    }
    expect(back.re[size - 1]).toBeCloseTo(size * (re[size - 1] ?? 0), 9);
  }
});

test("a low tone survives a lower rate, a high one is gone", () => {
  const tone = (hertz: number) =>
    Float32Array.from(
      { length: 4410 },
      (_, i) => 0.5 * Math.sin((2 * Math.PI * hertz * i) / 44100),
    );
  const loudness = (values: Float32Array) => Math.max(...values.subarray(200, 600).map(Math.abs));

  const [low, high] = [resampled(tone(440), 44100, 8000), resampled(tone(9000), 44100, 8000)];

  expect(low).toHaveLength(800);
  expect(loudness(low)).toBeCloseTo(0.5, 2);
  expect(loudness(high)).toBeLessThan(0.01);
});

test("a longer clip gives its loudest stretch, a shorter one stands in silence", () => {
  expect(ofLength(Float32Array.of(0, 0.1, 0.9, 0.8, 0, 0), 2)).toEqual(Float32Array.of(0.9, 0.8));
  expect(ofLength(Float32Array.of(0.5), 4)).toEqual(Float32Array.of(0, 0.5, 0, 0));
});

/** A WAV file of one chunk. */
function wav(coding: number, bits: number, channels: number, data: number[], told = data.length) {
  const head = new DataView(new ArrayBuffer(44));
  [..."RIFF....WAVEfmt "].forEach((letter, i) => {
    head.setUint8(i, letter.charCodeAt(0));
  });
  head.setUint32(16, 16, true);
  head.setUint16(20, coding, true);
  head.setUint16(22, channels, true);
  head.setUint32(24, 8000, true);
  head.setUint16(32, (channels * bits) / 8, true);
  head.setUint16(34, bits, true);
  [..."data"].forEach((letter, i) => {
    head.setUint8(36 + i, letter.charCodeAt(0));
  });
  head.setUint32(40, told, true);
  return Uint8Array.from([...new Uint8Array(head.buffer), ...data]);
}

test("samples are read to the bit in every width, channels averaged", () => {
  expect(readWav(wav(1, 8, 1, [0, 128, 192]), "a").values).toEqual(Float32Array.of(-1, 0, 0.5));
  expect(readWav(wav(1, 16, 2, [0, 0x80, 0, 0x40]), "a").values).toEqual(Float32Array.of(-0.25));
  expect(readWav(wav(1, 24, 1, [0, 0, 0xc0]), "a").values).toEqual(Float32Array.of(-0.5));
  expect(readWav(wav(1, 32, 1, [0, 0, 0, 0x20]), "a").values).toEqual(Float32Array.of(0.25));
  expect(readWav(wav(3, 32, 1, [0, 0, 0x40, 0x40]), "a").values).toEqual(Float32Array.of(1)); // 3
});

test("damaged sounds are refused in words", () => {
  expect(() => readWav(wav(1, 16, 1, [1, 2], 8), "a.wav")).toThrow(/8 bytes .* 2 are there/);
  expect(() => readWav(wav(2, 4, 1, [1, 2]), "a.wav")).toThrow(/format 2, 4 bits/);
  expect(() => readWav(wav(1, 16, 1, []), "a.wav")).toThrow(/0 seconds/);
  expect(() => readWav(wav(1, 16, 1, [1, 2]).subarray(0, 30), "a.wav")).toThrow(/ends too early/);
  expect(() => readWav(Uint8Array.of(1, 2, 3), "a.wav")).toThrow(/no WAV file/);
  expect(() => readWav(wav(3, 32, 1, [0, 0, 0xc0, 0x7f]), "a")).toThrow(/no numbers/);
  const long = wav(1, 8, 1, Array(8000 * 60 + 1).fill(128));
  expect(() => readWav(long, "a.wav")).toThrow("a.wav is longer than 60 seconds.");
});

test("resizing keeps what is even and weighs neighbours", () => {
  const even = { width: 5, height: 4, channels: 3, data: new Uint8Array(60).fill(77) };
  const line = { width: 4, height: 1, channels: 1, data: Uint8Array.of(0, 0, 255, 255) };

  expect(resized(even, 3, 7).data).toEqual(new Uint8Array(63).fill(77));
  expect(resized(line, 4, 1)).toBe(line);
  // at -0.25, 0.25, 0.75, 1.25 widths: 0.8672, 0.8672, 0.2266, -0.0703; of 255 the last two are
  // (0.2266 - 0.0703) / 1.8906 * 255 = 21.08
  expect([...resized(line, 2, 1).data]).toEqual([21, 234]);
});

test("grey is what the eye makes of colours", () => {
  const data = Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9);
  expect([...grey({ width: 4, height: 1, channels: 3, data }).data]).toEqual([76, 150, 29, 9]);
});

test("ink is found in a photo: dark on bright or bright on dark, anywhere", () => {
  const photo = (paper: number, pen: number) => {
    const data = new Uint8Array(60 * 40).fill(paper);
    for (let y = 20; y < 36; y++) data.fill(pen, y * 60 + 40, y * 60 + 44);
    return { width: 60, height: 40, channels: 1, data };
  };

  const [dark, bright] = [inkIn(photo(220, 30), 8, 0), inkIn(photo(10, 240), 8, 0)];

  expect(dark).toEqual(bright);
  // 4 wide of 16 high: two of eight columns, in the middle
  const columns = Array.from({ length: 8 }, (_, x) => dark.filter((_, i) => i % 8 === x));
  expect(columns.map((one) => one.reduce((sum, share) => sum + share, 0))).toEqual([
    ...[0, 0, 0, 8, 8, 0, 0, 0],
  ]);
  expect(() => inkIn(photo(100, 101), 8, 0)).toThrow("There is no drawing to be seen.");
});
