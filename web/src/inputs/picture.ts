/** Pictures: from the camera, a file, the clipboard or another window. */

import type { Tensors } from "../contract";
import { Camera } from "./camera";
import type { Card, Context } from "./card";
import { button, fileButton, heading, make, Problem } from "./dom";
import { itemsOf } from "./files";
import { grabbed, PICTURES, paint, pictureTensor, pixelsOf, readPicture } from "./photos";
import { imageLayout } from "./pixels";
import type { Pixels } from "./resize";

const LOOK_MS = 400; // between two looks at what the camera sees
const COARSE = 160; // pixels across, below which they are shown as squares
const SHOWN = 640; // pixels of the longer side that a card shows

export function card({ spec, place, give, cleared }: Context): Card {
  const layout = imageLayout(spec);
  if (!layout) throw new Error(`${spec.name} is no picture`);
  const problem = new Problem();
  const video = make("video", { hidden: true });
  video.setAttribute("aria-label", "What the camera sees");
  const shown = make("canvas", { hidden: true, role: "img", ariaLabel: "The picture" });
  const seen = make("canvas", { className: "input-seen", role: "img" });
  seen.ariaLabel = "The pixels the model sees";
  const invitation = "Drop a picture here, paste one, choose a file, or use the camera.";
  const hint = make("p", { className: "quiet", textContent: invitation });
  const stage = make("div", { className: "input-stage" }, video, shown, hint);
  const camera = new Camera(video);
  let timer: ReturnType<typeof setInterval> | undefined;

  const asked = (pixels: Pixels): Tensors => {
    const tensor = pictureTensor(pixels, layout);
    paint(seen, pixelsOf(tensor, layout));
    return { [layout.name]: tensor };
  };
  const reveal = (element: HTMLElement, pixels?: Pixels) => {
    if (pixels) {
      paint(shown, smaller(pixels));
      shown.classList.toggle("input-coarse", pixels.width < COARSE);
    }
    for (const one of [video, shown, hint]) one.hidden = one !== element;
    const live = element === video;
    take.hidden = !live;
    other.hidden = !live || !camera.several;
    start.textContent = live ? "Stop" : "Camera";
    if (!live) {
      clearInterval(timer);
      camera.stop();
    }
  };
  const look = () => grabbed(video, video.videoWidth, video.videoHeight);
  const settle = (pixels: Pixels) => {
    const inputs = asked(pixels);
    reveal(shown, pixels);
    give(inputs, true);
  };
  const run = (begin: () => Promise<void>) =>
    problem.watch(async () => {
      clearInterval(timer);
      try {
        await begin();
      } catch (error) {
        reveal(hint);
        throw error;
      }
      reveal(video);
      video.classList.toggle("input-mirrored", camera.mirrored);
      timer = setInterval(() => {
        if (!camera.running)
          reveal(hint); // it was unplugged
        else if (video.videoWidth > 0 && !document.hidden) give(asked(look()), false);
      }, LOOK_MS);
    });
  const clear = () => {
    problem.clear();
    reveal(hint);
    paint(seen, blank);
    cleared();
  };
  const blank: Pixels = { width: 1, height: 1, channels: 4, data: new Uint8Array(4) };
  const start = button("Camera", () => {
    if (camera.running) clear();
    else void run(() => camera.start());
  });
  const take = button("Take picture", () => void problem.watch(() => settle(look())));
  take.className = "primary";
  const other = button("Other camera", () => void run(() => camera.change()));
  const choose = fileButton({
    ...{ place, label: "File", accept: PICTURES, problem },
    take: async (file) => settle(await readPicture(file)),
  });
  const colours = layout.channels === 3 ? "in colour" : "in grey";
  const size = `The model sees ${layout.width} × ${layout.height} pixels ${colours}.`;
  place.replaceChildren(
    heading(place, "Picture", start, choose, button("Clear", clear)),
    stage,
    make("div", { className: "input-actions input-centre" }, take, other),
    make(
      "div",
      { className: "seen" },
      make("span", { className: "frame" }, seen),
      make("p", { className: "quiet", textContent: size }),
    ),
    problem.element,
  );
  reveal(hint);
  return {
    show: (example) => {
      const tensor = example[layout.name];
      if (!tensor) return;
      const pixels = pixelsOf(tensor, layout);
      problem.clear();
      paint(seen, pixels);
      reveal(shown, pixels);
    },
    clear,
    accept: PICTURES,
    files: (files) =>
      itemsOf(files, async (file) => {
        const tensor = pictureTensor(await readPicture(file), layout);
        return [{ name: file.name, inputs: { [layout.name]: tensor } }];
      }),
  };
}

/** Every so many pixels of a large picture: enough to be shown. */
function smaller({ width, height, channels, data }: Pixels): Pixels {
  const step = Math.max(1, Math.ceil(Math.max(width, height) / SHOWN));
  const [across, down] = [Math.ceil(width / step), Math.ceil(height / step)];
  const out = new Uint8Array(across * down * channels);
  for (let y = 0; y < down; y++) {
    for (let x = 0; x < across; x++) {
      const from = (y * step * width + x * step) * channels;
      out.set(data.subarray(from, from + channels), (y * across + x) * channels);
    }
  }
  return { width: across, height: down, channels, data: out };
}
