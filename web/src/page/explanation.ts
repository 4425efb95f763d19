/** Shows on request which parts of an input its answer rests on. */

import type { Profile, Signature, Tensor, TensorSpec, Tensors } from "../contract";
import { kindOf, seriesLayout, soundLayout } from "../inputs/kinds";
import { paint, pixelsOf } from "../inputs/photos";
import { type ImageLayout, imageLayout, inkOf } from "../inputs/pixels";
import { plot } from "../inputs/plot";
import { readingsOf } from "../inputs/readings";
import { showInk } from "../inputs/sketchpad";
import { button, make } from "./dom";
import {
  type Ask,
  columns,
  type Effect,
  effects,
  heat,
  type Part,
  patches,
  type Stretch,
  segments,
} from "./explain";
import { percent, withUnit } from "./words";

const SHOWN = 8; // columns of a table
const STRONG = 0.75; // opacity of the strongest effect: what lies under it stays visible
const SMALL = 5e-4; // of a share: it would be told as 0.0 %

export class Explanation {
  readonly button = button("Why?", () => void this.#toggle());
  readonly place = make("div", { className: "explanation", hidden: true });
  #inputs: Tensors | null = null;
  #running: AbortController | null = null;
  readonly #parts: readonly Part[];

  constructor(
    private readonly signature: Signature,
    profile: Profile,
    private readonly ask: Ask,
  ) {
    this.button.ariaExpanded = "false";
    const [spec, ...others] = signature.inputs;
    this.#parts = spec && others.length === 0 ? partsOf(spec, profile) : [];
    this.button.hidden = this.#parts.length === 0;
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
    try {
      const words = [spec.name, this.#parts, this.ask, running.signal, tell] as const;
      const found = await effects(this.signature, inputs, ...words);
      this.place.replaceChildren(...this.#shown(spec, found, given));
    } catch (error) {
      if (running.signal.aborted) return;
      const told = error instanceof Error ? error.message : String(error);
      this.place.replaceChildren(make("p", { className: "bad", textContent: told }));
    }
  }

  #shown(spec: TensorSpec, found: readonly Effect[], given: Tensor): readonly Element[] {
    const smallest = this.signature.labels.length > 0 ? SMALL : 0;
    if (found.every(({ drop }) => Math.abs(drop) <= smallest)) {
      return [make("p", { className: "quiet", textContent: "No part alone changes this answer." })];
    }
    const layout = imageLayout(spec);
    if (!layout && spec.shape.length === 2 && !stretchOf(spec)) return this.#table(found);
    const strongest = found.reduce((a, b) => (b.drop > a.drop ? b : a));
    const most = this.#amount(strongest.drop);
    const where = layout ? `around ${strongest.name}` : `readings ${strongest.name}`;
    const told = `What the answer rests on: most on ${where}, ${most}`;
    const drawn = kindOf(spec, this.signature.labels) === "drawing";
    const shown = layout
      ? picture(given, found, layout, told, drawn)
      : series(spec, given, found, told);
    // of a share's percentages a difference is points
    const change = this.#amount(-strongest.drop).replace(/ %$/, " points");
    const caption = `Blue speaks for the answer, amber against it. Without the bluest part it changes by ${change}.`;
    return [shown, make("p", { className: "quiet", textContent: caption })];
  }

  #table(found: readonly Effect[]): readonly HTMLElement[] {
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
    return [
      make("p", { className: "quiet", textContent: told }),
      make("ol", { className: "bars", ariaLabel: "What the answer rests on" }, ...lines),
    ];
  }

  #amount(drop: number): string {
    const sign = drop < 0 ? "−" : "+";
    if (this.signature.labels.length > 0) return `${sign}${percent(Math.abs(drop))}`;
    return `${sign}${withUnit(Math.abs(drop), this.signature.outputs[0]?.unit ?? "")}`;
  }
}

/** What can be taken away from an item; nothing of what no picture could show. */
function partsOf(spec: TensorSpec, profile: Profile): readonly Part[] {
  const layout = imageLayout(spec);
  if (layout) return patches(layout, profile);
  const stretch = stretchOf(spec);
  if (stretch) return segments(stretch, profile);
  return spec.shape.length === 2 ? columns(spec, profile) : [];
}

/** How the readings of a series or sound lie; null for a table. */
function stretchOf(spec: TensorSpec): Stretch | null {
  const sound = soundLayout(spec);
  if (sound) return { ...sound, channels: 1, channelsLast: false };
  const layout = kindOf(spec) === "table" ? null : seriesLayout(spec);
  return layout && { ...layout, channels: layout.channels.length };
}

const BLUE = [59, 130, 246]; // the accent and its opposite: told apart by all kinds of eyes
const AMBER = [245, 158, 11];

/** The picture, under a veil where the answer rests on it. */
function picture(
  given: Tensor,
  found: readonly Effect[],
  layout: ImageLayout,
  told: string,
  drawn: boolean,
): HTMLCanvasElement {
  const { width, height, channels, channelsLast } = layout;
  const canvas = make("canvas", { width, height, className: "heat", role: "img", ariaLabel: told });
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  if (drawn) {
    showInk(canvas, inkOf(given.data, layout), layout);
    context.globalCompositeOperation = "source-in"; // in the theme's ink
    context.fillStyle = getComputedStyle(document.body).color;
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = "source-over";
  } else {
    paint(canvas, pixelsOf(given, layout));
  }
  const values = heat(found, given.data.length);
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  for (let pixel = 0; pixel < width * height; pixel++) {
    const value = values[channelsLast ? pixel * channels : pixel] ?? 0;
    context.fillStyle = veil(value, largest);
    context.fillRect(pixel % width, Math.floor(pixel / width), 1, 1);
  }
  return canvas;
}

function veil(value: number, largest: number): string {
  const colour = value < 0 ? AMBER : BLUE;
  return `rgb(${colour.join(" ")} / ${(STRONG * Math.abs(value)) / largest})`;
}

/** The readings as lines, on a ground as strong as the answer rests on each stretch. */
function series(
  spec: TensorSpec,
  given: Tensor,
  found: readonly Effect[],
  told: string,
): SVGSVGElement {
  const layout = seriesLayout(spec);
  const lines = layout ? readingsOf(given, layout) : [Float64Array.from(given.data)];
  const drawn = plot(lines, told);
  const { width, height } = drawn.viewBox.baseVal;
  const largest = found.reduce((most, { drop }) => Math.max(most, Math.abs(drop)), 0) || 1;
  const grounds = found.map(({ drop }, index) => {
    const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const words = {
      ...{ x: (index * width) / found.length, y: 0, width: width / found.length, height },
      fill: veil(drop, largest),
    };
    for (const [name, value] of Object.entries(words)) ground.setAttribute(name, String(value));
    return ground;
  });
  drawn.prepend(...grounds);
  return drawn;
}
