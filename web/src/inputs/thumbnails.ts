/** A small picture of an item, whatever its kind: for examples and rows of a batch. */

import type { Tensor, TensorSpec } from "../contract";
import { make } from "./dom";
import { kindOf, seriesLayout, soundLayout } from "./kinds";
import { paint, pixelsOf } from "./photos";
import { imageLayout, inkOf } from "./pixels";
import { plot } from "./plot";
import { readingsOf } from "./readings";
import { showInk } from "./sketchpad";

const POINTS = 120; // of a sound's outline

/** Null for what has no picture: a row of a table, several inputs. */
export function thumbnail(
  spec: TensorSpec,
  labels: readonly string[],
  tensor: Tensor,
): Element | null {
  const kind = kindOf(spec, labels);
  const picture = imageLayout(spec);
  if (picture && (kind === "drawing" || kind === "picture")) {
    const canvas = make("canvas", { className: kind === "drawing" ? "pixels" : "input-seen" });
    if (kind === "drawing") showInk(canvas, inkOf(tensor.data, picture), picture);
    else paint(canvas, pixelsOf(tensor, picture));
    return canvas;
  }
  const series = kind === "series" ? seriesLayout(spec) : null;
  if (series) return small(readingsOf(tensor, series));
  return soundLayout(spec) ? small([outline(tensor.data)]) : null;
}

function small(channels: readonly Float64Array[]): Element {
  const svg = plot(channels, "");
  svg.setAttribute("aria-hidden", "true"); // the button around it has a name
  return svg;
}

/** The highest and the lowest value of each stretch, in turn. */
function outline(values: ArrayLike<number>): Float64Array {
  const step = Math.max(1, Math.floor(values.length / POINTS));
  const out = new Float64Array(2 * Math.ceil(values.length / step));
  for (let i = 0; i < values.length; i++) {
    const place = 2 * Math.floor(i / step);
    const value = values[i] ?? 0;
    out[place] = Math.max(out[place] ?? 0, value);
    out[place + 1] = Math.min(out[place + 1] ?? 0, value);
  }
  return out;
}
