/** From files, cameras and canvases to the numbers that a model of pictures was trained on. */

import type { Tensor } from "../contract";
import { EdgeError } from "../read";
import { bytesOf, nameOf } from "./files";
import type { ImageLayout } from "./pixels";
import { isPng, readPng } from "./png";
import { grey, opaque, type Pixels, resized } from "./resize";

const MOST_PIXELS = 64 << 20; // of one image: more is a decompression bomb, not a photo
export const PICTURES = "image/*,.png,.jpg,.jpeg,.bmp,.gif,.webp";

/** The pixels of a picture file, upright, as bytes that no colour profile has changed. */
export async function readPicture(file: Blob): Promise<Pixels> {
  const name = nameOf(file);
  const bytes = await bytesOf(file);
  const size = announced(bytes);
  if (size && size.width * size.height > MOST_PIXELS) throw tooLarge(name);
  // a canvas would mix transparency into the colours, which training leaves out
  const read = isPng(bytes) ? await readPng(bytes) : null;
  if (read) return read;
  try {
    const image = await createImageBitmap(new Blob([bytes], { type: file.type }), {
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
    const found = grabbed(image, image.width, image.height);
    image.close();
    return found;
  } catch (error) {
    if (error instanceof EdgeError) throw error;
    throw new EdgeError(
      `${name} is not an image that can be read.`,
      "Give a PNG, JPEG, WebP, GIF or BMP file.",
    );
  }
}

function tooLarge(name: string): EdgeError {
  return new EdgeError(`${name} has more than ${MOST_PIXELS} pixels.`, "Make it smaller.");
}

/** The size that stands in the head of a PNG or JPEG, before anything is unpacked. */
function announced(bytes: Uint8Array): { width: number; height: number } | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isPng(bytes) && bytes.length > 24) {
    return { width: view.getUint32(16), height: view.getUint32(20) };
  }
  if (bytes.length < 4 || view.getUint16(0) !== 0xffd8) return null;
  for (let at = 2; at + 9 < bytes.length && view.getUint8(at) === 0xff; ) {
    const mark = view.getUint8(at + 1);
    const frame = mark >= 0xc0 && mark <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(mark);
    if (frame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    at += 2 + view.getUint16(at + 2);
  }
  return null;
}

/** What a picture, video or canvas shows now. */
export function grabbed(source: CanvasImageSource, width: number, height: number): Pixels {
  if (width * height > MOST_PIXELS) throw tooLarge("The picture");
  if (width < 1 || height < 1) throw new EdgeError("The picture has no size yet.", "Wait for it.");
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new EdgeError("This browser gives no canvas to read a picture with.");
  context.drawImage(source, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, channels: 4, data };
}

/** One item for the model: resized as training did it, whatever the shape of the picture. */
export function pictureTensor(pixels: Pixels, layout: ImageLayout): Tensor {
  const { channels, height, width, channelsLast, low, high } = layout;
  const converted = channels === 1 ? grey(pixels) : opaque(pixels);
  const { data } = resized(converted, width, height);
  const size = height * width;
  const values = new Float32Array(size * channels);
  for (let pixel = 0; pixel < size; pixel++) {
    for (let channel = 0; channel < channels; channel++) {
      const share = (data[pixel * channels + channel] ?? 0) / 255;
      const place = channelsLast ? pixel * channels + channel : channel * size + pixel;
      values[place] = low + share * (high - low);
    }
  }
  const sizes = channelsLast ? [height, width, channels] : [channels, height, width];
  return { shape: [1, ...sizes], data: values };
}

/** The bytes of a model's picture again, to show it; three channels. */
export function pixelsOf({ data }: Tensor, layout: ImageLayout): Pixels {
  const { channels, height, width, channelsLast, low, high } = layout;
  const size = height * width;
  const out = new Uint8ClampedArray(3 * size);
  for (let pixel = 0; pixel < size; pixel++) {
    for (let colour = 0; colour < 3; colour++) {
      const channel = channels === 1 ? 0 : colour;
      const place = channelsLast ? pixel * channels + channel : channel * size + pixel;
      out[3 * pixel + colour] = (255 * ((data[place] ?? low) - low)) / (high - low);
    }
  }
  return { width, height, channels: 3, data: out };
}

/** Shows pixels on a canvas, one for one. */
export function paint(canvas: HTMLCanvasElement, { width, height, channels, data }: Pixels): void {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) return;
  const image = context.createImageData(width, height);
  const shown = image.data; // asking the image for it again and again takes most of the time
  for (let i = 0; i < width * height; i++) {
    for (let colour = 0; colour < 3; colour++) {
      shown[4 * i + colour] = data[channels * i + (channels < 3 ? 0 : colour)] ?? 0;
    }
    shown[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
