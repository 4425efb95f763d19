/** A canvas that a person draws on with mouse, finger, pen or keyboard, and what a model sees of it. */

import { fitStrokes, type ImageLayout, meanPool, type Point, penOf, type Stroke } from "./pixels";

const PEN = 0.06; // width of the line a person sees, as a share of the pad
const STEP = 0.05; // of the pad, an arrow key
const FINE = 16; // drawn pixels to a model pixel and side, before they are averaged

export class Sketchpad {
  #strokes: Point[][] = [];
  #drawing: Point[] | null = null;
  #cursor: Point | null = null; // the keyboard's pen
  #picture: HTMLCanvasElement | null = null; // an example, shown where one would draw

  /** `onChange(settled)`: settled is false while the pen is down. */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly onChange: (settled: boolean) => void,
  ) {
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(end, () => this.#up());
    }
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#leave());
    new ResizeObserver(() => this.paint()).observe(canvas);
    // canvases do not follow the style sheet by themselves
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  get empty(): boolean {
    return this.#strokes.length === 0;
  }

  get strokes(): readonly Stroke[] {
    return this.#strokes;
  }

  clear(): void {
    this.#strokes = [];
    this.#drawing = null;
    this.#picture = null;
    this.paint();
  }

  /** Show a picture instead of strokes; the next stroke begins a drawing of its own. */
  showPicture(picture: HTMLCanvasElement): void {
    this.clear();
    this.#picture = picture;
    this.paint();
  }

  paint(): void {
    const side = this.canvas.clientWidth * devicePixelRatio;
    this.canvas.width = side;
    this.canvas.height = side;
    const context = this.canvas.getContext("2d");
    if (!context || side === 0) return;
    context.scale(side, side);
    context.strokeStyle = getComputedStyle(this.canvas).color;
    if (this.#picture) paintPicture(context, this.#picture, context.strokeStyle);
    trace(context, this.#strokes, PEN);
    if (!this.#cursor) return;
    context.strokeStyle = getComputedStyle(this.canvas).getPropertyValue("--accent");
    context.lineWidth = 0.008;
    context.beginPath();
    context.arc(this.#cursor.x, this.#cursor.y, PEN / 2, 0, 2 * Math.PI);
    context.stroke();
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0 || this.#drawing) return; // one pen at a time: a palm draws nothing
    this.canvas.setPointerCapture(event.pointerId);
    this.#cursor = null;
    this.#begin(this.#at(event));
  }

  #move(event: PointerEvent): void {
    if (!this.#drawing || !this.canvas.hasPointerCapture(event.pointerId)) return;
    // a fast pen is between two frames in several places
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length > 0 ? events : [event]) this.#drawing.push(this.#at(each));
    this.#changed(false);
  }

  #up(): void {
    if (!this.#drawing) return;
    this.#drawing = null;
    this.#changed(true);
  }

  #key(event: KeyboardEvent): void {
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [-STEP, 0],
      ArrowRight: [STEP, 0],
      ArrowUp: [0, -STEP],
      ArrowDown: [0, STEP],
    };
    const move = moves[event.key];
    this.#cursor ??= { x: 0.5, y: 0.5 };
    if (move) {
      const { x, y } = this.#cursor;
      this.#cursor = { x: clamp(x + move[0]), y: clamp(y + move[1]) };
      this.#drawing?.push(this.#cursor);
      if (this.#drawing) this.#changed(false);
    } else if (event.key === " ") {
      if (this.#drawing) this.#up();
      else this.#begin(this.#cursor);
    } else if (event.key === "Escape") {
      this.clear();
      this.onChange(true);
    } else {
      return;
    }
    event.preventDefault(); // arrows and space would scroll the page
    this.paint();
  }

  #leave(): void {
    this.#cursor = null;
    this.#up();
    this.paint();
  }

  #begin(point: Point): void {
    this.#picture = null;
    this.#drawing = [point];
    this.#strokes.push(this.#drawing);
    this.#changed(false);
  }

  #changed(settled: boolean): void {
    this.paint();
    this.onChange(settled);
  }

  #at(event: PointerEvent): Point {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
  }
}

/** Ink shares 0…1 of the model's pixels: strokes framed as in scans, drawn finely, averaged. */
export function rasterise(strokes: readonly Stroke[], layout: ImageLayout): Float32Array {
  const { width, height } = layout;
  const size = Math.min(width, height);
  const { pen, margin } = penOf(layout);
  const canvas = new OffscreenCanvas(width * FINE, height * FINE);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) return new Float32Array(width * height);
  context.scale(FINE, FINE);
  context.translate((width - size) / 2, (height - size) / 2);
  trace(context, fitStrokes(strokes, size, margin), pen);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const alpha = Float32Array.from(
    { length: data.length / 4 },
    (_, i) => (data[4 * i + 3] ?? 0) / 255,
  );
  return meanPool(alpha, canvas.width, canvas.height, width, height);
}

/** Show ink shares as pixels: black, the more opaque the more ink. */
export function showInk(
  canvas: HTMLCanvasElement,
  ink: ArrayLike<number>,
  layout: ImageLayout,
): void {
  canvas.width = layout.width;
  canvas.height = layout.height;
  const context = canvas.getContext("2d");
  if (!context) return;
  const image = context.createImageData(layout.width, layout.height);
  const shown = image.data;
  for (let i = 0; i < ink.length; i++) {
    shown[4 * i + 3] = 255 * Math.min(1, Math.max(0, ink[i] ?? 0));
  }
  context.putImageData(image, 0, 0);
}

/** The picture over the whole unit square, each pixel a square, its ink in `colour`. */
function paintPicture(
  context: CanvasRenderingContext2D,
  picture: HTMLCanvasElement,
  colour: string,
): void {
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, 0, 0, 1, 1);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  context.globalCompositeOperation = "source-over";
}

function trace(
  context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D,
  strokes: readonly Stroke[],
  width: number,
): void {
  context.lineWidth = width;
  context.lineCap = "round";
  context.lineJoin = "round";
  context.beginPath();
  for (const [first, ...rest] of strokes) {
    if (!first) continue;
    context.moveTo(first.x, first.y);
    context.lineTo(first.x, first.y); // a dot is a line too
    for (const point of rest) context.lineTo(point.x, point.y);
  }
  context.stroke();
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}
