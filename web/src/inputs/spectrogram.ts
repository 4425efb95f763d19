/** Which frequencies a sound has over time, as pixels: the louder the more opaque. */

import { transform } from "./spectrum";

const QUIET_DB = -90;
const LOUD_DB = -25;

/** Columns of `size / 2` levels 0…1, the lowest frequency first; one every `hop` samples. */
export function columnsOf(values: Float32Array, size: number, hop: number): Float32Array[] {
  const count = Math.max(0, Math.floor((values.length - size) / hop) + 1);
  return Array.from({ length: count }, (_, i) => column(values.subarray(i * hop, i * hop + size)));
}

function column(block: Float32Array): Float32Array {
  const size = block.length;
  // a window without corners (von Hann): they would be heard at every frequency
  const re = Float64Array.from(
    block,
    (value, i) => value * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size)),
  );
  const found = transform({ re, im: new Float64Array(size) });
  return Float32Array.from({ length: size / 2 }, (_, k) => {
    const share = Math.hypot(found.re[k] ?? 0, found.im[k] ?? 0) / (size / 4);
    const level = 20 * Math.log10(share + 1e-9);
    return Math.min(1, Math.max(0, (level - QUIET_DB) / (LOUD_DB - QUIET_DB)));
  });
}

/** The newest columns, as many as the canvas is wide; it is as high as a column is long. */
export function paintColumns(
  canvas: HTMLCanvasElement,
  columns: readonly Float32Array[],
  width: number,
): void {
  const height = columns[0]?.length ?? 1;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) return;
  const image = context.createImageData(width, height);
  const shown = columns.slice(-width);
  shown.forEach((levels, x) => {
    levels.forEach((level, k) => {
      image.data[4 * ((height - 1 - k) * width + x) + 3] = 255 * level;
    });
  });
  context.putImageData(image, 0, 0);
}
