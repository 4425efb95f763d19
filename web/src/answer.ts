/** The card that shows what the model says. */

import type { Signature } from "./contract";
import type { Prediction } from "./messages";

interface Row {
  readonly line: HTMLElement;
  readonly bar: HTMLElement;
  readonly share: HTMLElement;
}

export class AnswerCard {
  readonly #rows: Row[];

  constructor(private readonly signature: Signature) {
    this.#rows = signature.labels.map(row);
    element("bars").replaceChildren(...this.#rows.map(({ line }) => line));
    element("bars").hidden = this.#rows.length === 0;
    this.clear();
  }

  show({ answers, outputs, latencyMs }: Prediction): void {
    const [output] = this.signature.outputs;
    const values = Array.from((output && outputs[output.name]?.data) ?? []);
    const { label, confidence } = answers[0] ?? {};
    const unit = output?.unit ? ` ${output.unit}` : "";
    element("verdict").textContent = label ?? values.map(short).join("  ") + unit;
    element("sure").textContent = confidence === undefined ? "" : `${percent(confidence)} sure`;
    element("latency").textContent = `engine ${latencyMs.toFixed(latencyMs < 10 ? 2 : 0)} ms`;
    const best = values.indexOf(Math.max(...values));
    this.#rows.forEach((row, index) => {
      fill(row, values[index] ?? 0, index === best);
    });
  }

  clear(): void {
    element("verdict").textContent = "–";
    element("sure").textContent = "";
    element("latency").textContent = "";
    for (const row of this.#rows) fill(row, null, false);
  }
}

function row(label: string): Row {
  const [line, name, track, bar, share] = [
    document.createElement("li"),
    document.createElement("span"),
    document.createElement("div"),
    document.createElement("div"),
    document.createElement("span"),
  ];
  name.textContent = label;
  // the number beside it says the same to who cannot see the bar
  track.ariaHidden = "true";
  track.className = "track";
  bar.className = "bar";
  share.className = "share";
  track.append(bar);
  line.append(name, track, share);
  return { line, bar, share };
}

function fill({ line, bar, share }: Row, value: number | null, best: boolean): void {
  line.classList.toggle("best", best);
  bar.style.width = `${100 * Math.min(1, Math.max(0, value ?? 0))}%`;
  share.textContent = value === null ? "" : percent(value);
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function short(value: number): string {
  return String(Number(value.toPrecision(5)));
}

export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}
