/** Sounds: recorded while their spectrogram runs by, or from a file; what the model hears is shown. */

import type { Tensor } from "../contract";
import type { Card, Context } from "./card";
import { readSound, SOUNDS, soundTensor } from "./clips";
import { button, fileButton, heading, make, Problem } from "./dom";
import { itemsOf } from "./files";
import { soundLayout } from "./kinds";
import { Microphone } from "./microphone";
import { columnsOf, paintColumns } from "./spectrogram";
import { ofLength } from "./spectrum";
import type { Sound } from "./wav";

const LOOK_MS = 500; // between two looks at what was said last
const LONGEST_S = 10; // of a recording: the model hears its loudest part
const COLUMNS = 240; // of a spectrogram

export function card({ spec, place, give, cleared }: Context): Card {
  const layout = soundLayout(spec);
  if (!layout) throw new Error(`${spec.name} is no sound`);
  const seconds = layout.samples / layout.rate;
  const problem = new Problem();
  const canvas = make("canvas", { className: "input-spectrogram", role: "img" });
  const status = make("p", { className: "quiet", role: "status" });
  const high = make("span", { textContent: `${layout.rate / 2000} kHz` });
  let blocks: Float32Array[] = [];
  let columns: Float32Array[] = [];
  let rate = 0;
  let looked = 0; // samples recorded when the last look was taken

  const recorded = (): number => blocks.reduce((sum, { length }) => sum + length, 0);
  const ask = (sound: Sound, settled: boolean): Tensor => {
    const tensor = soundTensor(sound, layout);
    give({ [layout.name]: tensor }, settled);
    return tensor;
  };
  const settle = (sound: Sound) => {
    showClip(ask(sound, true), "What the model hears");
  };
  const showClip = ({ data }: Tensor, what: string) => {
    const clip = Float32Array.from(data);
    const size = 2 ** Math.round(Math.log2(Math.min(512, layout.rate / 40)));
    const hop = Math.max(1, Math.floor((clip.length - size) / COLUMNS));
    const found = columnsOf(clip, size, hop);
    paintColumns(canvas, found, Math.max(1, found.length));
    const loudest = clip.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const told = loudest < 0.01 ? "almost silent" : `loudest ${Math.round(100 * loudest)} %`;
    canvas.ariaLabel = `${what}: a spectrogram of ${seconds} s, ${told}`;
    status.textContent = `${what}: ${seconds} s, ${told}.`;
    play.hidden = false;
    heard = clip;
  };
  const onBlock = (block: Float32Array, at: number) => {
    rate = at;
    blocks.push(block);
    // up to the highest frequency that the model hears
    const highest = Math.ceil((block.length * layout.rate) / rate / 2);
    const [levels] = columnsOf(block, block.length, block.length);
    if (levels) columns = [...columns, levels.subarray(0, highest)].slice(-COLUMNS);
    paintColumns(canvas, columns, COLUMNS);
    const total = recorded();
    const told = `Recording: ${Math.floor(total / rate)} s`;
    if (status.textContent !== told) status.textContent = told; // or it is read aloud at each block
    if (total - looked > (LOOK_MS / 1000) * rate && total > seconds * rate) {
      looked = total;
      ask({ values: joined(blocks).slice(-Math.ceil(seconds * rate)), rate }, false);
    }
    if (total >= LONGEST_S * rate) void finish();
  };
  const microphone = new Microphone(onBlock);
  const begin = () =>
    problem.watch(async () => {
      blank();
      await microphone.start();
      record.textContent = "Stop";
    });
  const halt = async () => {
    await microphone.stop();
    record.textContent = "Record";
  };
  const finish = () =>
    problem.watch(async () => {
      await halt();
      // the loudest part first: to bring all of it to another rate would take its time
      if (blocks.length > 0)
        settle({ values: ofLength(joined(blocks), Math.ceil(seconds * rate)), rate });
    });
  const blank = () => {
    [blocks, columns, looked] = [[], [], 0];
    paintColumns(canvas, [], 1);
    canvas.ariaLabel = "Spectrogram: nothing was recorded yet";
    status.textContent = "Record, choose a file, or drop one here.";
    play.hidden = true;
  };
  const clear = () => {
    void halt();
    problem.clear();
    blank();
    cleared();
  };
  let heard: Float32Array = new Float32Array();
  const play = button("Play", () => void problem.watch(() => sounded(heard, layout.rate)));
  const record = button("Record", () => void (microphone.running ? finish() : begin()));
  record.className = "primary";
  const choose = fileButton({
    ...{ place, label: "File", accept: SOUNDS, problem },
    take: async (file) => {
      const sound = await readSound(file);
      await halt();
      settle(sound);
    },
  });
  const rule = `The model hears ${seconds} s at ${layout.rate} Hz: the loudest part of a longer sound.`;
  place.replaceChildren(
    heading(place, "Sound", record, choose, play, button("Clear", clear)),
    make(
      "div",
      { className: "input-figure" },
      make(
        "div",
        { className: "input-axis quiet", ariaHidden: "true" },
        high,
        make("span", {}, "0"),
      ),
      make("div", { className: "input-sound" }, canvas),
    ),
    status,
    make("p", { className: "quiet", textContent: rule }),
    problem.element,
  );
  blank();
  return {
    show: (example) => {
      void halt();
      const tensor = example[layout.name];
      if (tensor) showClip(tensor, "An example");
    },
    clear,
    accept: SOUNDS,
    files: (files) =>
      itemsOf(files, async (file) => {
        const tensor = soundTensor(await readSound(file), layout);
        return [{ name: file.name, inputs: { [layout.name]: tensor } }];
      }),
  };
}

function joined(blocks: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(blocks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const block of blocks) {
    out.set(block, at);
    at += block.length;
  }
  return out;
}

/** What the model heard, for ears. */
async function sounded(clip: Float32Array, rate: number): Promise<void> {
  const context = new AudioContext();
  const buffer = context.createBuffer(1, clip.length, rate);
  buffer.getChannelData(0).set(clip);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  source.addEventListener("ended", () => void context.close());
  source.start();
}
