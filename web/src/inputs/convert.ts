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
  // pages without types give what they have
  if (typeof input !== "object" || input === null) throw unknownInput(input);
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
  if (pixels) return { [spec.name]: fromPixels(pixels, spec, signature) };
  if (tagOf(input) !== "Object") throw unknownInput(input);
  return { [spec.name]: fromRow(input as Row, spec, signature) };
}

function fromPixels(pixels: Pixels, spec: TensorSpec, signature: Signature) {
  const layout = imageLayout(spec);
  if (!layout) throw misfit("a picture", spec, signature);
  const drawn = kindOf(spec, signature.labels) === "drawing";
  return drawn ? drawnTensor(pixels, spec.meaning, layout) : pictureTensor(pixels, layout);
}

function isTensors(input: Input): input is Tensors {
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
  // a word would become not-a-number, which is a missing value, and null a zero
  const stray = Array.prototype.findIndex.call(values, (one) => typeof one !== "number");
  if (stray >= 0) {
    throw new EdgeError(
      `${name} takes numbers; ${told(values[stray])} was given among them.`,
      "Write NaN for a value that is missing.",
    );
  }
  return { shape: [1, ...sizes], data: values };
}

function fromRow(row: Row, spec: TensorSpec, signature: Signature) {
  if (kindOf(spec, signature.labels) !== "table") throw misfit("a row", spec, signature);
  const columns = columnsOf(spec, null);
  const names = columns.map((column) => column.name).join(", ");
  const cells = Object.entries(row);
  if (cells.length === 0) throw new EdgeError("The row is empty.", `Its columns are ${names}.`);
  for (const [name, value] of cells) {
    if (!["number", "string", "undefined"].includes(typeof value) && value !== null) {
      throw new EdgeError(
        `${name} takes a number or a word; ${told(value)} was given.`,
        "null stands for a value that is missing.",
      );
    }
  }
  return rowTensor(rowOf(columns, row));
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
  if (globalThis.ImageData && input instanceof ImageData) {
    const { width, height, data } = input;
    return { width, height, channels: 4, data };
  }
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
  try {
    return grabbed(source, ...naturalSize(source));
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "SecurityError")) throw error;
    throw new EdgeError(
      "The picture comes from another host, whose pixels a page may not read.",
      "Offer it from the host of this page, or with CORS headers and `crossorigin`.",
    );
  }
}

function naturalSize(source: CanvasImageSource): [number, number] {
  const sizes: Readonly<Record<string, unknown>> = source as never;
  for (const [across, down] of [
    ...[["naturalWidth", "naturalHeight"] as const, ["videoWidth", "videoHeight"] as const],
    ...[["displayWidth", "displayHeight"] as const, ["width", "height"] as const],
  ]) {
    const [width, height] = [lengthOf(sizes[across]), lengthOf(sizes[down])];
    if (width !== null && height !== null) return [width, height];
  }
  return [0, 0];
}

/** Of an image within an SVG it is an object. */
function lengthOf(size: unknown): number | null {
  if (globalThis.SVGAnimatedLength && size instanceof SVGAnimatedLength) return size.baseVal.value;
  return typeof size === "number" ? size : null;
}

/** What no model takes, whatever it is. */
function unknownInput(input: unknown): EdgeError {
  return new EdgeError(
    `A model cannot be asked with ${told(input)}.`,
    "Give a picture, a canvas, a sound, a file, a row, a list of numbers, or tensors by name.",
  );
}

function told(value: unknown): string {
  if (typeof value === "string") return `the text “${value.slice(0, 40)}”`;
  if (typeof value !== "object" || value === null) return String(value);
  const tag = tagOf(value);
  return `${/^([AEIO]|HTML)/.test(tag) ? "an" : "a"} ${tag}`;
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

function misfit(what: string, spec: TensorSpec, signature: Signature): EdgeError {
  const kind = kindOf(spec, signature.labels);
  const takes = kind === "other" ? `numbers of shape [${spec.shape.slice(1)}]` : `a ${kind}`;
  return new EdgeError(
    `The model takes ${takes}; ${what} was given.`,
    "Give that, or { shape, data } for each input by name.",
  );
}
