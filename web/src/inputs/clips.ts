/** From sound files and recordings to the clip that a model was trained on. */

import type { Tensor } from "../contract";
import { bytesOf, nameOf } from "./files";
import type { SoundLayout } from "./kinds";
import { ofLength, resampled } from "./spectrum";
import { damaged, isWav, LONGEST_S, readWav, type Sound, tooLong } from "./wav";

export const SOUNDS = "audio/*,.wav,.mp3,.ogg,.oga,.opus,.flac,.m4a,.aac,.webm";
const DECODED = 48_000; // hertz at which other formats are unpacked: none holds more that is heard

/** WAV files by our own reader, so that every sample is as in training; others by the browser. */
export async function readSound(file: Blob): Promise<Sound> {
  const [name, bytes] = [nameOf(file), await bytesOf(file)];
  if (isWav(bytes)) return readWav(bytes, name);
  const context = new OfflineAudioContext(1, 1, DECODED);
  const decoded = await context.decodeAudioData(bytes.buffer).catch(() => {
    throw damaged(name, "this browser does not know its format");
  });
  if (decoded.duration > LONGEST_S) throw tooLong(name);
  return soundOf(decoded);
}

/** The mean of the channels. */
export function soundOf(buffer: AudioBuffer): Sound {
  const values = new Float32Array(buffer.length);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    buffer.getChannelData(channel).forEach((value, i) => {
      values[i] = (values[i] ?? 0) + value / buffer.numberOfChannels;
    });
  }
  return {
    values: values.map((value) => Math.min(1, Math.max(-1, value))),
    rate: buffer.sampleRate,
  };
}

/** What the model hears of a sound: at its rate, of its length. */
export function soundTensor({ values, rate }: Sound, layout: SoundLayout): Tensor {
  const clip = ofLength(resampled(values, rate, layout.rate), layout.samples);
  return { shape: layout.shape, data: clip };
}
