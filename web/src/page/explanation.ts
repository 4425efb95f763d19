/** Shows on request which parts of an input its answer rests on. */

import type { Profile, Signature, Tensor, Tensors } from "../contract";
import { type ImageLayout, imageLayout, inkOf } from "../inputs/pixels";
import { button, make } from "./dom";
import {
  type Ask,
  columns,
  type Effect,
  effects,
  heat,
  type Part,
  patches,
  segments,
  timeAxis,
} from "./explain";
import { percent, withUnit } from "./words";

const SHOWN = 8; // columns of a table
const STRONG = 0.75; // opacity of the strongest effect: what lies under it stays visible

export class Explanation {
  readonly button = button("Why?", () => void this.#toggle());
  readonly place = make("div", { className: "explanation", hidden: true });
  #inputs: Tensors | null = null;
  #running: AbortController | null = null;

  constructor(
    private readonly signature: Signature,
    private readonly profile: Profile,
    private readonly ask: Ask,
  ) {
    this.button.ariaExpanded = "false";
  }

  /** What would be explained; an explanation of what was there before goes. */
  about(inputs: Tensors | null): void {
    this.#close();
    this.#inputs = inputs;
  }

  #close(): void {
    this.#running?.abort();
    this.#running = null;
    this.place.hidden = true;
    this.place.replaceChildren();
    this.button.ariaExpanded = "false";
  }

  async #toggle(): Promise<void> {
    const inputs = this.#inputs;
    const open = !this.place.hidden;
    this.#close();
    const [spec] = this.signature.inputs;
    const given = spec && inputs?.[spec.name];
    if (open || !spec || !inputs || !given) return;
    const running = new AbortController();
    this.#running = running;
    const bar = make("progress", { max: 1, value: 0, ariaLabel: "Explaining" });
    const stop = button("Stop", () => this.#close());
    this.place.replaceChildren(make("div", { className: "running" }, bar, stop));
    this.place.hidden = false;
    this.button.ariaExpanded = "true";
    const tell = (share: number) => {
      bar.value = share;
    };
    const layout = imageLayout(spec);
    const parts = this.#parts(given, layout);
    try {
      const { signature, ask } = this;
      const found = await effects(signature, inputs, spec.name, parts, ask, running.signal, tell);
      this.place.replaceChildren(...this.#shown(found, given, layout));
    } catch (error) {
      if (running.signal.aborted) return;
      const told = error instanceof Error ? error.message : String(error);
      this.place.replaceChildren(make("p", { className: "bad", textContent: told }));
    }
  }

  #parts(given: Tensor, layout: ImageLayout | null): readonly Part[] {
    const [spec] = this.signature.inputs;
    if (!spec) return [];
    if (layout) return patches(layout, this.profile);
    if (spec.shape.length === 2) return columns(spec, this.profile);
    return segments(spec, given.shape.slice(1), this.profile);
  }

  #shown(found: readonly Effect[], given: Tensor, layout: ImageLayout | null): HTMLElement[] {
    if (found.every(({ drop }) => Math.abs(drop) < 5e-4)) {
      return [make("p", { className: "quiet", textContent: "No part alone changes this answer." })];
    }
    if (!layout && given.shape.length === 2) return [this.#table(found)];
    const values = heat(found, given.data.length);
    const canvas = layout ? picture(given, values, layout) : plot(given, values, this.place);
    const strongest = found.reduce((a, b) => (b.drop > a.drop ? b : a));
    const most = this.#amount(strongest.drop);
    const what = layout ? `near ${strongest.name}` : `from ${strongest.name}`;
    canvas.role = "img";
    canvas.ariaLabel = `What the answer rests on: most ${what}, by ${most}`;
    const caption = `Blue speaks for the answer, amber against it; covering the bluest part takes ${most} away.`;
    return [canvas, make("p", { className: "quiet", textContent: caption })];
  }

  #table(found: readonly Effect[]): HTMLElement {
    const order = [...found].sort((a, b) => Math.abs(b.drop) - Math.abs(a.drop)).slice(0, SHOWN);
    const largest = Math.abs(order[0]?.drop ?? 0) || 1;
    const lines = order.map(({ name, drop, filler }) => {
      const bar = make("div", { className: drop < 0 ? "bar against" : "bar for" });
      bar.style.width = `${(100 * Math.abs(drop)) / largest}%`;
      const track = make("div", { className: "track", ariaHidden: "true" }, bar);
      const share = make("span", { className: "share", textContent: this.#amount(drop) });
      const label = make("span", { className: "name", dir: "auto", textContent: name });
      return make("li", { title: `with ${filler} instead` }, label, track, share);
    });
    const told = "What each value adds to the answer, against the middle one of the training data:";
    return make(
      "div",
      {},
      make("p", { className: "quiet", textContent: told }),
      make("ol", { className: "bars", ariaLabel: "What the answer rests on" }, ...lines),
    );
  }

  #amount(drop: number): string {
    const sign = drop < 0 ? "−" : "+";
    if (this.signature.labels.length > 0) return `${sign}${percent(Math.abs(drop))}`;
    return `${sign}${withUnit(Math.abs(drop), this.signature.outputs[0]?.unit ?? "")}`;
  }
}

/** The picture in grey, under a veil where the answer rests on it. */
function picture(given: Tensor, values: Float64Array, layout: ImageLayout): HTMLCanvasElement {
  const { width, height, channels, channelsLast } = layout;
  const canvas = make("canvas", { width, height, className: "heat" });
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  const ink = inkOf(given.data, layout);
  const image = context.createImageData(width, height);
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  for (let pixel = 0; pixel < width * height; pixel++) {
    const value = (values[channelsLast ? pixel * channels : pixel] ?? 0) / largest;
    const veil = value < 0 ? AMBER : BLUE;
    const grey = 255 * Math.min(1, Math.max(0, ink[pixel] ?? 0));
    const opacity = STRONG * Math.abs(value);
    veil.forEach((colour, place) => {
      image.data[4 * pixel + place] = grey * (1 - opacity) + colour * opacity;
    });
    image.data[4 * pixel + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

const BLUE = [59, 130, 246]; // the accent and its opposite: told apart by all kinds of eyes
const AMBER = [245, 158, 11];

/** The series as lines, on a ground as strong as the answer rests on each stretch. */
function plot(given: Tensor, values: Float64Array, place: HTMLElement): HTMLCanvasElement {
  const shape = given.shape.slice(1);
  const axis = timeAxis(shape);
  const length = shape[axis] ?? 1;
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const outer = given.data.length / (length * inner);
  const [width, height] = [640, 160];
  const canvas = make("canvas", { width, height, className: "plot" });
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  for (let time = 0; time < length; time++) {
    const value = (values[time * inner] ?? 0) / largest;
    context.fillStyle = `rgb(${(value < 0 ? AMBER : BLUE).join(" ")} / ${STRONG * Math.abs(value)})`;
    const left = Math.floor((time / length) * width);
    context.fillRect(left, 0, Math.ceil(((time + 1) / length) * width) - left, height);
  }
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < given.data.length; i++) {
    low = Math.min(low, given.data[i] ?? low);
    high = Math.max(high, given.data[i] ?? high);
  }
  context.strokeStyle = getComputedStyle(place).color;
  context.lineWidth = 1.5;
  for (let channel = 0; channel < outer * inner; channel++) {
    context.beginPath();
    const start = Math.floor(channel / inner) * length * inner + (channel % inner);
    for (let time = 0; time < length; time++) {
      const share = ((given.data[start + time * inner] ?? 0) - low) / (high - low || 1);
      context.lineTo(((time + 0.5) / length) * width, height - 8 - share * (height - 16));
    }
    context.stroke();
  }
  return canvas;
}
