/** From what people have to what a model takes: for pages of their own. */

import type { Signature, TensorSpec, Tensors } from "../contract";
import { EdgeError } from "../read";
import { readSound, soundOf, soundTensor } from "./clips";
import { columnsOf, itemsIn, rowOf, rowTensor } from "./columns";
import { textOf } from "./files";
import { drawnTensor } from "./ink";
import { kindOf, seriesLayout, soundLayout } from "./kinds";
import { grabbed, pictureTensor, readPicture } from "./photos";
import { imageLayout } from "./pixels";
import { newestStart, readingsIn, windowTensor } from "./readings";
import type { Pixels } from "./resize";

export type Row = Readonly<Record<string, number | string | null>>;

/** Tensors by name; the numbers of one item; a row by column; a picture; a file; a sound. */
export type Input = Tensors | ArrayLike<number> | Row | ImageBitmapSource | Blob | AudioBuffer;

export async function toTensors(input: Input, signature: Signature): Promise<Tensors> {
  if (isTensors(input)) return input;
  const [spec, ...others] = signature.inputs;
  if (!spec || others.length > 0) {
    const names = signature.inputs.map(({ name }) => name).join(", ");
    throw new EdgeError(
      `The model takes ${signature.inputs.length} inputs: ${names}.`,
      "Give an object with { shape, data } for each.",
    );
  }
  if (input instanceof Blob) return { [spec.name]: await fromFile(input, spec, signature) };
  if (globalThis.AudioBuffer && input instanceof AudioBuffer) {
    const layout = soundLayout(spec);
    if (!layout) throw misfit("a sound", spec, signature);
    return { [spec.name]: soundTensor(soundOf(input), layout) };
  }
  if (isNumbers(input)) return { [spec.name]: fromNumbers(input, spec) };
  const pixels = pixelsIn(input);
  if (!pixels) return { [spec.name]: fromRow(input as Row, spec, signature) };
  return { [spec.name]: fromPixels(pixels, spec, signature) };
}

function fromPixels(pixels: Pixels, spec: TensorSpec, signature: Signature) {
  const layout = imageLayout(spec);
  if (!layout) throw misfit("a picture", spec, signature);
  const drawn = kindOf(spec, signature.labels) === "drawing";
  return drawn ? drawnTensor(pixels, spec.meaning, layout) : pictureTensor(pixels, layout);
}

function isTensors(input: Input): input is Tensors {
  if (typeof input !== "object" || input instanceof Blob) return false;
  const values: unknown[] = Object.values(input);
  return (
    values.length > 0 &&
    values.every((v) => typeof v === "object" && v !== null && "shape" in v && "data" in v)
  );
}

function isNumbers(input: Input): input is ArrayLike<number> {
  return Array.isArray(input) || (ArrayBuffer.isView(input) && !(input instanceof DataView));
}

function fromNumbers(values: ArrayLike<number>, { name, shape }: TensorSpec) {
  const sizes = shape.slice(1);
  const size = sizes.reduce((product, length) => product * length, 1);
  if (size !== values.length) {
    throw new EdgeError(
      `${name} takes ${size} numbers an item; ${values.length} were given.`,
      `Its shape is [${sizes.join(", ")}].`,
    );
  }
  return { shape: [1, ...sizes], data: values };
}

function fromRow(row: Row, spec: TensorSpec, signature: Signature) {
  if (kindOf(spec, signature.labels) !== "table") throw misfit("a row", spec, signature);
  return rowTensor(rowOf(columnsOf(spec, null), row));
}

async function fromFile(file: Blob, spec: TensorSpec, signature: Signature) {
  if (imageLayout(spec)) return fromPixels(await readPicture(file), spec, signature);
  const sound = soundLayout(spec);
  if (sound) return soundTensor(await readSound(file), sound);
  const kind = kindOf(spec, signature.labels);
  const series = kind === "series" ? seriesLayout(spec) : null;
  if (series) {
    const readings = readingsIn(await textOf(file), series);
    return windowTensor(readings, newestStart(readings, series), series);
  }
  if (kind !== "table") throw misfit("a file", spec, signature);
  const [item] = itemsIn(await textOf(file), columnsOf(spec, null), spec.name);
  const found = item?.inputs[spec.name];
  if (!found) throw new EdgeError(item?.problem ?? "The file has no row.");
  return found;
}

function pixelsIn(input: Exclude<Input, Tensors>): Pixels | null {
  if (globalThis.ImageData && input instanceof ImageData) return { ...sizeOf(input), channels: 4 };
  const known = [
    ...["HTMLImageElement", "SVGImageElement", "HTMLVideoElement", "HTMLCanvasElement"],
    ...["ImageBitmap", "OffscreenCanvas", "VideoFrame"],
  ];
  const name = known.find((one) => {
    const kind: unknown = Reflect.get(globalThis, one);
    return typeof kind === "function" && input instanceof kind;
  });
  if (!name) return null;
  const source = input as CanvasImageSource;
  return grabbed(source, ...naturalSize(source));
}

function sizeOf({ width, height, data }: ImageData) {
  return { width, height, data: new Uint8ClampedArray(data.buffer) };
}

function naturalSize(source: CanvasImageSource): [number, number] {
  const sizes: Readonly<Record<string, unknown>> = source as never;
  for (const [across, down] of [
    ...[["naturalWidth", "naturalHeight"] as const, ["videoWidth", "videoHeight"] as const],
    ...[["displayWidth", "displayHeight"] as const, ["width", "height"] as const],
  ]) {
    const [width, height] = [Reflect.get(sizes, across), Reflect.get(sizes, down)];
    if (typeof width === "number" && typeof height === "number") return [width, height];
  }
  return [0, 0];
}

function misfit(what: string, spec: TensorSpec, signature: Signature): EdgeError {
  const kind = kindOf(spec, signature.labels);
  const takes = kind === "other" ? `numbers of shape [${spec.shape.slice(1)}]` : `a ${kind}`;
  return new EdgeError(
    `The model takes ${takes}; ${what} was given.`,
    "Give that, or { shape, data } for each input by name.",
  );
}
