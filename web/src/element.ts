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
import { cardOf } from "./inputs/cards";
import { toTensors } from "./inputs/convert";
import { make } from "./inputs/dom";
import { integrityOf } from "./integrity";
import type { Prediction } from "./messages";
import {
  type Answered,
  folder,
  type Input,
  type Model,
  type OpenedModel,
  openModel,
} from "./model";
import { AnswerCard, spoken } from "./page/answer";
import { unlike } from "./page/unlike";
import { EdgeError } from "./read";

/** What a person sees of the model. */
interface Face {
  show(inputs: Tensors, prediction: Prediction, settled: boolean): void;
  fill(inputs: Tensors): void;
  clear(): void;
}

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
    const inputs = await toTensors(input, model.signature);
    this.#face?.fill(inputs);
    return this.#answer(model, inputs, true);
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
    this.#opened = this.#load(folder(this.src), opening.signal);
    this.#opened.then(
      (model) => this.#tell("sanderling-ready", model),
      (error: unknown) => {
        if (opening.signal.aborted) return;
        this.#fail(error);
      },
    );
  }

  async #load(base: URL, signal: AbortSignal): Promise<OpenedModel> {
    const model = await openModel(base, { signal });
    if (!signal.aborted && !this.headless) this.#face = await this.#showFace(model, base);
    if (signal.aborted) {
      model.close();
      throw absent();
    }
    this.#model = model;
    if (this.headless) this.#root.replaceChildren();
    return model;
  }

  async #answer(model: OpenedModel, inputs: Tensors, settled: boolean): Promise<Answered> {
    try {
      const round = this.#round;
      const prediction = await model.predictBatch(inputs, settled);
      if (round === this.#round) this.#face?.show(inputs, prediction, settled);
      const { answers, outputs, latencyMs } = prediction;
      const answered = { ...answers[0], outputs, latencyMs };
      if (settled) this.#tell("sanderling-answer", answered);
      return answered;
    } catch (error) {
      if (this.#model === model) this.#fail(error);
      throw error;
    }
  }

  async #showFace(model: OpenedModel, base: URL): Promise<Face> {
    const { manifest, profile } = model.started;
    const { signature, abstention } = manifest;
    const [spec] = signature.inputs;
    if (!spec) throw new EdgeError(`${manifest.name} takes no input.`, "Pack another model.");
    this.#root.adoptedStyleSheets = [await sheetOf(model, base)];
    const input = make("section", { className: "card" });
    const place = make("section", { className: "card", id: "answer", ariaLabel: "Answer" });
    const said = make("p", { className: "unseen", role: "status" });
    const answer = new AnswerCard(place, signature, abstention);
    const card = await cardOf({
      ...{ spec, signature, profile, place: input },
      give: (inputs, settled) => void this.#answer(model, inputs, settled).catch(() => {}),
      cleared: () => {
        this.#round += 1;
        answer.clear();
      },
    });
    input.setAttribute("part", "input");
    place.setAttribute("part", "answer");
    for (const [id, part] of PARTS) place.querySelector(`#${id}`)?.setAttribute("part", part);
    this.#root.replaceChildren(make("div", { className: "embedded" }, input, place), said);
    return {
      show: (inputs, prediction, settled) => {
        answer.show(prediction, unlike(signature, profile, inputs, 0, abstention));
        if (settled) said.textContent = spoken(prediction, signature);
      },
      fill: (inputs) => card.show(inputs),
      clear: () => card.clear(),
    };
  }

  #fail(error: unknown): void {
    const told = error instanceof Error ? error.message : String(error);
    const hint = error instanceof EdgeError ? error.hint : "";
    if (!this.#model && !this.headless) this.#say("error", "bad", `${told} ${hint}`);
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

const PARTS = [
  ["verdict", "verdict"],
  ["sure", "confidence"],
  ["bars", "bars"],
] as const;

const sheets = new Map<string, Promise<CSSStyleSheet>>(); // one for all elements of a bundle

function sheetOf({ started }: OpenedModel, base: URL): Promise<CSSStyleSheet> {
  const address = new URL("page.css", base);
  const known = sheets.get(address.href);
  if (known) return known;
  const integrity = integrityOf(started.bundle.files.get("page.css"));
  const reading = fetch(address, { credentials: "omit", integrity })
    .then((answer) => (answer.ok ? answer.text() : ""))
    .then((text) => new CSSStyleSheet().replace(text));
  sheets.set(address.href, reading);
  reading.catch(() => sheets.delete(address.href)); // the next element tries again
  return reading;
}

function absent(): EdgeError {
  return new EdgeError(
    "There is no model here.",
    "Give the element a `src` and put it into the page.",
  );
}
