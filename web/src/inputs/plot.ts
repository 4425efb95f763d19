/** Lines of numbers over their order, as an SVG that the style sheet colours. */

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 100;
const MARGIN = 4;
const MOST_POINTS = 1200; // more than a screen has columns

/** One line a channel, all on one scale; gaps where a value is missing. */
export function plot(channels: readonly Float64Array[], title: string): SVGSVGElement {
  const svg = document.createElementNS(NAMESPACE, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", title);
  svg.classList.add("input-lines");
  const [low, high] = range(channels);
  channels.forEach((values, channel) => {
    const line = document.createElementNS(NAMESPACE, "path");
    line.setAttribute("d", path(values, low, high));
    line.setAttribute("class", `input-line input-line-${channel % 4}`);
    svg.append(line);
  });
  return svg;
}

/** The line of a channel as it is drawn, for a legend. */
export function swatch(channel: number): SVGSVGElement {
  const svg = plot([], "");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(NAMESPACE, "path");
  line.setAttribute("d", `M0 ${HEIGHT / 2}H${WIDTH}`);
  line.setAttribute("class", `input-line input-line-${channel % 4}`);
  svg.append(line);
  return svg;
}

/** Smallest and largest finite value of all; 0 to 1 when there is none. */
export function range(channels: readonly ArrayLike<number>[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const values of channels) {
    for (let i = 0; i < values.length; i++) {
      const value = values[i] ?? Number.NaN;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? [low, high] : [0, 1];
}

function path(values: Float64Array, low: number, high: number): string {
  const every = Math.max(1, Math.ceil(values.length / MOST_POINTS));
  const across = (WIDTH - 2 * MARGIN) / Math.max(1, values.length - 1);
  const down = high > low ? (HEIGHT - 2 * MARGIN) / (high - low) : 0;
  const floor = high > low ? HEIGHT - MARGIN : HEIGHT / 2; // a constant runs through the middle
  let [pen, found] = ["M", ""];
  for (let i = 0; i < values.length; i += every) {
    const value = values[i] ?? Number.NaN;
    if (Number.isFinite(value)) {
      const x = MARGIN + i * across;
      const y = floor - (value - low) * down;
      found += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    }
    pen = Number.isFinite(value) ? "L" : "M";
  }
  return found;
}
