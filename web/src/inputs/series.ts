/** Readings pasted or dropped as a file, drawn; a long series is walked through by its window. */

import type { Card, Context } from "./card";
import { button, fileButton, heading, make, Problem } from "./dom";
import { itemsOf, textOf } from "./files";
import { seriesLayout } from "./kinds";
import { plot, range, swatch } from "./plot";
import { newestStart, readingsIn, readingsOf, windowsOf, windowTensor } from "./readings";

const FILES = ".csv,.tsv,.txt,text/csv,text/plain";
const SETTLE_MS = 500; // after the last letter typed

export function card({ spec, place, give, cleared }: Context): Card {
  const layout = seriesLayout(spec);
  if (!layout) throw new Error(`${spec.name} is no series`);
  const { samples, channels, unit } = layout;
  const problem = new Problem();
  let readings: readonly Float64Array[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;

  const figure = make("div", { className: "input-plot" });
  const low = make("span");
  const high = make("span");
  const legend = make("ul", { className: "input-legend quiet", hidden: channels.length < 2 });
  legend.append(...channels.map((name, channel) => make("li", {}, swatch(channel), name)));
  const words = make("p", { className: "quiet", role: "status" });
  const slider = make("input", { type: "range", min: "0", step: "1" });
  const walk = make("label", { className: "input-walk", hidden: true }, "Window", slider);

  const draw = (shown: readonly Float64Array[]) => {
    const [least, most] = range(shown);
    const mark = unit ? ` ${unit}` : "";
    const title = `${samples} readings between ${short(least)}${mark} and ${short(most)}${mark}`;
    figure.replaceChildren(plot(shown, title));
    high.textContent = `${short(most)}${mark}`;
    low.textContent = `${short(least)}${mark}`;
    axis.hidden = false;
  };
  const axis = make("div", { className: "input-axis quiet", hidden: true }, high, low);
  const ask = (settled: boolean) => {
    const start = Number(slider.value);
    draw(readings.map((values) => values.subarray(start, start + samples)));
    const count = readings[0]?.length ?? 0;
    words.textContent =
      count > samples
        ? `Readings ${start + 1} to ${start + samples} of ${count}`
        : `${samples} readings`;
    give({ [layout.name]: windowTensor(readings, start, layout) }, settled);
  };
  const take = (text: string) => {
    const found = readingsIn(text, layout);
    const newest = newestStart(found, layout);
    readings = found;
    slider.max = String(newest);
    slider.value = String(newest);
    walk.hidden = newest === 0;
    ask(true);
  };
  const blank = () => {
    clearTimeout(timer);
    readings = [];
    text.value = "";
    walk.hidden = true;
    axis.hidden = true;
    words.textContent = "";
    const hint = "Drop a CSV file here, or paste numbers below.";
    figure.replaceChildren(make("p", { className: "quiet", textContent: hint }));
    problem.clear();
  };
  const clear = () => {
    blank();
    cleared();
  };
  const several = channels.length > 1 ? ` of ${channels.join(", ")}` : "";
  const help = `${samples} readings${several}, one line a moment; of more, the newest are taken.`;
  const text = make("textarea", {
    ...{ rows: 4, spellcheck: false, id: "input-readings" },
    placeholder: channels.length > 1 ? channels.join(", ") : "20.1, 20.4, 20.3 …",
  });
  text.addEventListener("input", () => {
    clearTimeout(timer);
    if (text.value.trim() === "") return clear();
    timer = setTimeout(() => void problem.watch(() => take(text.value)), SETTLE_MS);
  });
  slider.addEventListener("input", () => ask(false));
  slider.addEventListener("change", () => ask(true));
  const choose = fileButton({
    ...{ place, label: "File", accept: FILES, problem },
    take: async (file) => {
      take(await textOf(file));
      text.value = "";
    },
  });
  place.replaceChildren(
    heading(place, "Series", choose, button("Clear", clear)),
    make("div", { className: "input-figure" }, axis, figure),
    legend,
    words,
    walk,
    make("label", { htmlFor: text.id, className: "quiet", textContent: help }),
    text,
    problem.element,
  );
  blank();
  return {
    show: (example) => {
      blank();
      const tensor = example[layout.name];
      if (!tensor) return;
      readings = readingsOf(tensor, layout);
      draw(readings);
      words.textContent = `${samples} readings of an example`;
    },
    clear,
    accept: FILES,
    files: (files) =>
      itemsOf(files, async (file) => {
        const items = windowsOf(readingsIn(await textOf(file), layout), layout);
        return items.map((item) => ({ ...item, name: `${file.name}, ${item.name}` }));
      }),
  };
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}
