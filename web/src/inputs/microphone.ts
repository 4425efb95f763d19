/** A microphone that gives blocks of samples until it is stopped. */

import { deviceError } from "./dom";

export class Microphone {
  #stream: MediaStream | null = null;
  #context: AudioContext | null = null;

  constructor(private readonly onBlock: (block: Float32Array, rate: number) => void) {
    addEventListener("pagehide", () => void this.stop());
  }

  get running(): boolean {
    return this.#stream !== null;
  }

  async start(): Promise<void> {
    await this.stop();
    try {
      // what calls need, a model that was trained on plain recordings does not
      const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      const stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
      this.#stream = stream;
      const context = new AudioContext();
      this.#context = context;
      await context.audioWorklet.addModule(new URL("recorder.js", home()));
      const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
      node.port.onmessage = ({ data }: MessageEvent<Float32Array>) => {
        if (this.running) this.onBlock(data, context.sampleRate);
      };
      context.createMediaStreamSource(stream).connect(node);
      await context.resume();
    } catch (error) {
      await this.stop();
      throw deviceError("microphone", error);
    }
  }

  async stop(): Promise<void> {
    const context = this.#context;
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    [this.#stream, this.#context] = [null, null];
    if (context && context.state !== "closed") await context.close();
  }
}

/** The bundle's folder: what the modules share lies in a folder of it. */
function home(): URL {
  return new URL(import.meta.url.includes("/chunks/") ? "../" : "./", import.meta.url);
}
