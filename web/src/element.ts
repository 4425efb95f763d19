/**
 * `<sanderling-model src="digits/">` in anybody's page: the model's own input card and its answer.
 * With the attribute `headless` it shows nothing and only answers `predict`. It tells what happens
 * by the events `sanderling-ready`, `sanderling-answer` and `sanderling-error`.
 *
 * All lives in a shadow root, styled by a constructed sheet: strict content policies allow it, and
 * neither page can spoil the other. Colours are custom properties of the element, and `::part` of
 * `input`, `answer`, `verdict`, `confidence`, `bars`, `state` and `error` can be styled from outside.
 */

import type { Tensors } from "./contract";
import { toTensors } from "./inputs/convert";
import { make } from "./inputs/dom";
import {
  type Answered,
  folder,
  type Input,
  type Model,
  type OpenedModel,
  openModel,
} from "./model";
import { type Face, openFace } from "./page/face";
import { EdgeError } from "./read";

export class SanderlingModel extends HTMLElement {
  static readonly observedAttributes = ["src", "headless"];

  readonly #root = this.attachShadow({ mode: "open" });
  #opening: AbortController | null = null;
  #opened: Promise<OpenedModel> = Promise.reject(absent());
  #model: OpenedModel | null = null;
  #face: Face | null = null;
  #round = 0; // an answer to what was cleared meanwhile is not shown

  constructor() {
    super();
    this.#opened.catch(() => {}); // told to who asks
  }

  /** The model, once it answers; null until then. */
  get model(): Model | null {
    return this.#model;
  }

  /** Resolves when the model of `src` answers. */
  get ready(): Promise<Model> {
    return this.#opened;
  }

  get src(): string {
    return this.getAttribute("src") ?? "";
  }

  set src(address: string) {
    this.setAttribute("src", address);
  }

  /** Without anything to see. */
  get headless(): boolean {
    return this.hasAttribute("headless");
  }

  set headless(value: boolean) {
    this.toggleAttribute("headless", value);
  }

  /** The answer to one item, which is also shown. */
  async predict(input: Input): Promise<Answered> {
    const model = await this.#opened;
    return this.#answer(model, true, async () => {
      const inputs = await toTensors(input, model.signature);
      this.#face?.fill(inputs);
      return inputs;
    });
  }

  /** Take back what was given, and its answer. */
  clear(): void {
    this.#face?.clear();
  }

  connectedCallback(): void {
    if (!this.#opening) this.#open();
  }

  disconnectedCallback(): void {
    // an element that is only moved is back at once
    queueMicrotask(() => {
      if (!this.isConnected) this.#close();
    });
  }

  attributeChangedCallback(_name: string, before: string | null, now: string | null): void {
    if (before !== now && this.isConnected) this.#open();
  }

  #close(): void {
    this.#opening?.abort();
    this.#opening = null;
    this.#model?.close();
    this.#model = null;
    this.#face = null;
    this.#opened = Promise.reject(absent());
    this.#opened.catch(() => {});
    this.#root.replaceChildren();
  }

  #open(): void {
    this.#close();
    if (!this.src) return;
    const opening = new AbortController();
    this.#opening = opening;
    this.#say("state", "quiet", "loading the model …");
    // a moment later: when several attributes are set at once, only the last one's goes on
    this.#opened = Promise.resolve().then(() => this.#load(folder(this.src), opening.signal));
    this.#opened.then(
      (model) => this.#tell("sanderling-ready", model),
      (error: unknown) => {
        if (!opening.signal.aborted) this.#fail(error);
      },
    );
  }

  async #load(base: URL, signal: AbortSignal): Promise<OpenedModel> {
    const model = await openModel(base, { signal });
    try {
      const face = this.headless ? null : await this.#openFace(model, base);
      signal.throwIfAborted();
      this.#face = face;
      this.#model = model;
      return model;
    } catch (error) {
      model.close();
      throw error;
    }
  }

  #openFace(model: OpenedModel, base: URL): Promise<Face> {
    return openFace(this.#root, model, base, {
      give: (inputs, settled) => {
        // what fails is shown
        this.#answer(model, settled, async () => inputs).catch(() => {});
      },
      cleared: () => {
        this.#round += 1;
      },
    });
  }

  async #answer(
    model: OpenedModel,
    settled: boolean,
    given: () => Promise<Tensors>,
  ): Promise<Answered> {
    const round = this.#round;
    try {
      const inputs = await given();
      const prediction = await model.predictBatch(inputs, settled);
      if (round === this.#round) this.#face?.show(inputs, prediction, settled);
      this.#face?.fail("");
      const { answers, outputs, latencyMs } = prediction;
      const answered = { ...answers[0], outputs, latencyMs };
      if (settled) this.#tell("sanderling-answer", answered);
      return answered;
    } catch (error) {
      if (this.#model === model) this.#fail(error);
      throw error;
    }
  }

  #fail(error: unknown): void {
    const told = error instanceof Error ? error.message : String(error);
    const words = error instanceof EdgeError ? `${told} ${error.hint}` : told;
    if (this.#face) this.#face.fail(words);
    else this.#say("error", "bad", words);
    this.#tell("sanderling-error", error);
  }

  #say(part: string, className: string, textContent: string): void {
    if (this.headless) return;
    const words = make("p", {
      className,
      textContent,
      role: part === "error" ? "alert" : "status",
    });
    words.setAttribute("part", part);
    this.#root.replaceChildren(words);
  }

  #tell(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

function absent(): EdgeError {
  return new EdgeError(
    "There is no model here.",
    "Give the element a `src` and put it into the page.",
  );
}
