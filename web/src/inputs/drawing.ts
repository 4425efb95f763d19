/** Small pictures of one channel are drawn; a photo of a drawing is turned into ink. */

import type { Tensors } from "../contract";
import type { Card, Context } from "./card";
import { button, fileButton, heading, make, Problem } from "./dom";
import { itemsOf } from "./files";
import { drawnTensor } from "./ink";
import { PICTURES, readPicture } from "./photos";
import { type ImageLayout, imageLayout, inkOf, inkTensor } from "./pixels";
import { rasterise, Sketchpad, showInk } from "./sketchpad";

const SETTLE_MS = 500; // after the last stroke: the next one of a 4 or a 7 comes sooner

export function card({ spec, signature, profile, place, give, cleared }: Context): Card {
  const found = imageLayout(spec);
  if (!found) throw new Error(`${spec.name} is no picture`);
  const layout = profile ? toned(found, profile.sketches.get(spec.name)) : found;
  const { name, width, height } = layout;
  const problem = new Problem();
  const { pad, seen, help } = parts(layout);
  const blank = new Float32Array(width * height);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const sketchpad = new Sketchpad(pad, (settled) => {
    clearTimeout(timer);
    problem.clear();
    if (sketchpad.empty) return clear();
    const ink = rasterise(sketchpad.strokes, layout);
    showInk(seen, ink, layout);
    const inputs = { [name]: inkTensor(ink, layout) };
    give(inputs, false);
    if (settled) timer = setTimeout(() => give(inputs, true), SETTLE_MS);
  });
  const show = (inputs: Tensors) => {
    clearTimeout(timer);
    showInk(seen, inkOf(inputs[name]?.data ?? [], layout), layout);
    sketchpad.showPicture(seen);
  };
  const clear = () => {
    clearTimeout(timer);
    problem.clear();
    sketchpad.clear();
    showInk(seen, blank, layout);
    cleared();
  };
  const read = async (file: File) => drawnTensor(await readPicture(file), spec.meaning, layout);
  const choose = fileButton({
    ...{ place, label: "File", accept: PICTURES, problem },
    take: async (file) => {
      const inputs = { [name]: await read(file) };
      show(inputs);
      give(inputs, true);
    },
  });
  const erase = button("Clear", clear);
  erase.id = "clear";
  const digits = signature.labels.length > 0 && signature.labels.every((one) => /^\d$/.test(one));
  place.replaceChildren(
    heading(place, digits ? "Draw a digit" : "Draw", choose, erase),
    pad,
    make("div", { className: "seen" }, make("span", { className: "frame" }, seen), help),
    problem.element,
  );
  sketchpad.paint();
  showInk(seen, blank, layout);
  return {
    show: (example) => {
      problem.clear();
      show(example);
    },
    clear,
    accept: PICTURES,
    files: (files) =>
      itemsOf(files, async (file) => [{ name: file.name, inputs: { [name]: await read(file) } }]),
  };
}

function parts({ width, height }: ImageLayout) {
  const pad = make("canvas", { id: "pad", tabIndex: 0, role: "img", ariaLabel: "Drawing area" });
  pad.setAttribute("aria-describedby", "pad-help");
  const seen = make("canvas", { id: "seen", className: "pixels", role: "img" });
  seen.ariaLabel = "The pixels the model sees";
  const keys = "Or the keyboard: arrows move, space lowers or lifts the pen, Escape clears.";
  const help = make(
    "p",
    { className: "quiet", id: "pad-help" },
    `The model sees ${width} × ${height} pixels. Use a mouse, finger or pen. `,
    make("span", { id: "pad-keys", textContent: keys }),
  );
  return { pad, seen, help };
}

/** Where most of what the model knows is bright, ink is what is dark. */
function toned(
  layout: ImageLayout,
  sketch: { counts: readonly number[]; total: number } | undefined,
): ImageLayout {
  const count = sketch?.counts.reduce((sum, one) => sum + one, 0) ?? 0;
  const bright = sketch && count > 0 && sketch.total / count > (layout.low + layout.high) / 2;
  return bright ? { ...layout, low: layout.high, high: layout.low } : layout;
}
