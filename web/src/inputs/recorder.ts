/** Runs where sound is worked on (an AudioWorklet): hands on what the microphone gives. */

// the scope of a worklet is in no library of types
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, kind: typeof AudioWorkletProcessor): void;

const BLOCK = 2048; // samples handed on at once: some 20 times a second

class Recorder extends AudioWorkletProcessor {
  #block = new Float32Array(BLOCK);
  #filled = 0;

  /** 128 samples of each channel at a time. */
  process([channels = []]: readonly (readonly Float32Array[])[]): boolean {
    const count = channels[0]?.length ?? 0;
    for (let i = 0; i < count; i++) {
      let sum = 0;
      for (const channel of channels) sum += channel[i] ?? 0;
      this.#block[this.#filled++] = sum / channels.length;
      if (this.#filled < BLOCK) continue;
      this.port.postMessage(this.#block, [this.#block.buffer]);
      this.#block = new Float32Array(BLOCK);
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
