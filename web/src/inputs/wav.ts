/** WAV files (RIFF, Microsoft and IBM 1991), to the sample as toolkit/data/audio.py reads them. */

import { EdgeError } from "../read";

export const LONGEST_S = 60; // of one file: more is a recording to be cut, not a clip
const [PCM, FLOAT, EXTENSIBLE] = [1, 3, 0xfffe]; // of a file's format
const TO_THE_END = 0xffffffff; // the size that a program writes which did not know it yet

export interface Sound {
  readonly values: Float32Array; // the mean of the channels, -1 to 1
  readonly rate: number; // hertz
}

interface Style {
  readonly coding: number;
  readonly channels: number;
  readonly rate: number;
  readonly frame: number; // bytes of one sample of all channels
  readonly bits: number;
}

export function isWav(bytes: Uint8Array): boolean {
  return word(bytes, 0) === "RIFF" && word(bytes, 8) === "WAVE";
}

export function readWav(bytes: Uint8Array, name: string): Sound {
  if (!isWav(bytes)) throw damaged(name, "it is no WAV file");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let style: Style | null = null;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const [kind, size] = [word(bytes, at), view.getUint32(at + 4, true)];
    if (kind === "data" && style) {
      return { values: samplesOf(view, at + 8, size, style, name), rate: style.rate };
    }
    if (kind === "fmt ") style = styleOf(view, at + 8, size, name);
    at += 8 + size + (size % 2);
  }
  throw damaged(name, "it ends too early");
}

function styleOf(view: DataView, at: number, size: number, name: string): Style {
  const there = Math.min(size, view.byteLength - at);
  const short = (place: number) => view.getUint16(at + place, true);
  if (there < 16) throw damaged(name, "it ends too early");
  let coding = short(0);
  // of an extensible one the format proper begins the long name behind
  if (coding === EXTENSIBLE) {
    if (there < 26) throw damaged(name, "it ends too early");
    coding = short(24);
  }
  const rate = view.getUint32(at + 4, true);
  return { coding, channels: short(2), rate, frame: short(12), bits: short(14) };
}

function samplesOf(
  view: DataView,
  start: number,
  size: number,
  { coding, channels, rate, frame, bits }: Style,
  name: string,
): Float32Array {
  const read = reader(view, coding, bits);
  if (!read) {
    throw new EdgeError(
      `${name} is stored in a way that is not read (format ${coding}, ${bits} bits).`,
      "Save it as PCM with 8, 16, 24 or 32 bits, or as 32-bit float.",
    );
  }
  if (rate < 1000 || rate >= 1_000_000 || channels === 0 || frame !== (channels * bits) / 8) {
    throw damaged(name, "its head contradicts itself");
  }
  const there = Math.min(size, view.byteLength - start);
  if (there > LONGEST_S * rate * frame) throw tooLong(name);
  if (there < size && size !== TO_THE_END) {
    throw damaged(name, `${size} bytes of sound are announced, ${there} are there`);
  }
  const count = Math.floor(there / frame);
  if (count === 0) throw new EdgeError(`${name} holds no sound: it is 0 seconds long.`);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) {
      sum += read(start + i * frame + (channel * bits) / 8);
    }
    const mean = sum / channels;
    if (!Number.isFinite(mean)) throw damaged(name, "it holds values that are no numbers");
    values[i] = Math.min(1, Math.max(-1, mean));
  }
  return values;
}

/** How one value is read at a place; null for codings that are not known. */
function reader(view: DataView, coding: number, bits: number): ((at: number) => number) | null {
  if (coding === FLOAT && bits === 32) return (at) => view.getFloat32(at, true);
  if (coding === FLOAT && bits === 64) return (at) => view.getFloat64(at, true);
  if (coding !== PCM) return null;
  if (bits === 8) return (at) => (view.getUint8(at) - 128) / 128; // the only width without a sign
  if (bits === 16) return (at) => view.getInt16(at, true) / 2 ** 15;
  if (bits === 24) {
    return (at) => (view.getUint8(at) + view.getInt16(at + 1, true) * 256) / 2 ** 23;
  }
  return bits === 32 ? (at) => view.getInt32(at, true) / 2 ** 31 : null;
}

export function tooLong(name: string): EdgeError {
  return new EdgeError(
    `${name} is longer than ${LONGEST_S} seconds.`,
    "Cut it into clips of one sound each.",
  );
}

export function damaged(name: string, why: string): EdgeError {
  return new EdgeError(`${name} is not a sound that can be read: ${why}.`, "Choose another file.");
}

function word(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}
