/** The card that shows what the model says; it builds itself, in a page or in a shadow root. */

import { best } from "../answers";
import type { Abstention, Signature, Tensor, TensorSpec } from "../contract";
import type { Answer, Prediction } from "../messages";
import { facts, make } from "./dom";
import type { Finding } from "./unlike";
import { counted, milliseconds, percent, rough, withUnit } from "./words";

const ALL = 12; // classes that are all shown, in their own order
const TOP = 5; // of more classes the likeliest, the others folded away
const VALUES = 12; // of an output of numbers
const FINDINGS = 3;

interface Row {
  readonly line: HTMLElement;
  readonly name: HTMLElement;
  readonly bar: HTMLElement;
  readonly share: HTMLElement;
}

export class AnswerCard {
  /** Where buttons about this answer go. */
  readonly actions = make("div", { className: "actions", hidden: true });
  readonly #latency = make("span", { className: "quiet", id: "latency" });
  readonly #verdict = make("strong", { id: "verdict", dir: "auto" });
  readonly #sure = make("span", { id: "sure" });
  readonly #unlike = make("p", { className: "hint", id: "unlike", hidden: true });
  readonly #note = make("p", { className: "hint", id: "note", hidden: true });
  readonly #bars = make("ol", { id: "bars", className: "bars", ariaLabel: "Share of each class" });
  readonly #others = make("ol", { className: "bars", ariaLabel: "The other classes" });
  readonly #rest: HTMLDetailsElement;
  readonly #more = make("div", { id: "more", hidden: true });
  readonly #rows: readonly Row[];
  #shares: readonly number[] = [];

  constructor(
    place: HTMLElement,
    private readonly signature: Signature,
    private readonly abstention: Abstention | null,
  ) {
    const { labels } = signature;
    const few = labels.length <= ALL;
    this.#rows = (few ? labels : labels.slice(0, TOP)).map(row);
    this.#bars.append(...this.#rows.map(({ line }) => line));
    this.#bars.hidden = labels.length === 0;
    if (!few) this.#bars.ariaLabel = `The ${TOP} likeliest classes`;
    const others = counted(labels.length - TOP, "other class").replace("classs", "classes");
    this.#rest = make("details", { hidden: few }, make("summary", { textContent: others }));
    this.#rest.append(this.#others);
    this.#rest.addEventListener("toggle", () => this.#showOthers());
    const heading = make("h2", { id: "answer-title", textContent: "Answer" });
    place.replaceChildren(
      make("div", { className: "title" }, heading, this.#latency),
      make("p", { className: "verdict" }, this.#verdict, " ", this.#sure),
      ...[this.#unlike, this.#note, this.#bars, this.#rest, this.#more, this.actions],
    );
    this.clear();
  }

  show(prediction: Prediction, findings: readonly Finding[] = []): void {
    const { answers, outputs, latencyMs, note } = prediction;
    const [spec] = this.signature.outputs;
    const values = numbers(spec && outputs[spec.name]);
    const answer = answers[0] ?? {};
    this.#verdict.textContent = verdict(answer, values, spec);
    this.#verdict.classList.toggle("long", this.#verdict.textContent.length > 12);
    this.#sure.textContent = sure(answer, this.abstention);
    this.#latency.textContent = milliseconds(latencyMs);
    this.#showUnlike(findings);
    this.#note.textContent = note;
    this.#note.hidden = note === "";
    this.#shares = values;
    if (this.signature.labels.length > 0) this.#showBars();
    this.#showMore(answer, outputs);
    this.actions.hidden = false;
  }

  clear(): void {
    this.#verdict.textContent = "–";
    this.#verdict.classList.remove("long");
    this.#sure.textContent = "waiting for an input";
    this.#latency.textContent = "";
    this.#shares = [];
    const { labels } = this.signature;
    for (const [place, each] of this.#rows.entries()) fill(each, labels[place] ?? "", null, false);
    this.#others.replaceChildren();
    for (const part of [this.#unlike, this.#note, this.#more, this.actions]) part.hidden = true;
    this.#rest.hidden = true;
  }

  #showBars(): void {
    const { labels } = this.signature;
    const shares = this.#shares;
    const order = [...labels.keys()];
    const first = best(shares);
    const many = labels.length > ALL;
    if (many) order.sort((a, b) => (shares[b] ?? 0) - (shares[a] ?? 0));
    this.#rows.forEach((each, place) => {
      const index = order[place] ?? place;
      fill(each, labels[index] ?? "", shares[index] ?? 0, index === first);
    });
    this.#rest.hidden = !many;
    this.#showOthers();
  }

  /** A thousand lines are only made for who looks at them. */
  #showOthers(): void {
    this.#others.replaceChildren();
    const shares = this.#shares;
    if (!this.#rest.open || shares.length === 0) return;
    const order = [...this.signature.labels.keys()].sort(
      (a, b) => (shares[b] ?? 0) - (shares[a] ?? 0),
    );
    const lines = order.slice(TOP).map((index) => {
      const made = row();
      fill(made, this.signature.labels[index] ?? "", shares[index] ?? 0, false);
      return made.line;
    });
    this.#others.replaceChildren(...lines);
  }

  #showUnlike(findings: readonly Finding[]): void {
    this.#unlike.hidden = findings.length === 0;
    const words = findings.slice(0, FINDINGS).map(finding);
    const more = findings.length - words.length;
    if (more > 0) words.push(`and ${more} more`);
    const title = make("strong", { textContent: "Unlike the training data. " });
    this.#unlike.replaceChildren(title, `${words.join("; ")}.`);
  }

  /** What the answer holds beside its classes: numbers, further outputs, what Python added. */
  #showMore({ extra }: Answer, outputs: Prediction["outputs"]): void {
    const given = this.signature.outputs.flatMap((spec, place) => {
      if (place === 0 && this.signature.labels.length > 0) return [];
      const values = numbers(outputs[spec.name]);
      return place === 0 && values.length === 1 ? [] : named(spec, values);
    });
    const added = Object.entries(extra ?? {}).map(([name, value]): [string, string] => [
      name,
      typeof value === "string" ? value : JSON.stringify(value),
    ]);
    const rows = [...given, ...added];
    this.#more.hidden = rows.length === 0;
    this.#more.replaceChildren(facts(rows));
  }
}

/** The answer in one line, for who listens. */
export function spoken(prediction: Prediction, signature: Signature): string {
  const [spec] = signature.outputs;
  const answer = prediction.answers[0] ?? {};
  const told = verdict(answer, numbers(spec && prediction.outputs[spec.name]), spec);
  const { confidence } = answer;
  return confidence === undefined ? told : `${told}, ${percent(confidence)} sure`;
}

function verdict(answer: Answer, values: readonly number[], spec: TensorSpec | undefined): string {
  if (answer.abstained) return "No answer";
  if (answer.label !== undefined) return answer.label;
  const [first] = values;
  if (first === undefined) return "–";
  if (values.length === 1) return withUnit(first, spec?.unit ?? "");
  return counted(values.length, "number");
}

function sure(answer: Answer, abstention: Abstention | null): string {
  const { abstained, label, confidence } = answer;
  if (confidence === undefined) return "";
  if (!abstained) return `${percent(confidence)} sure`;
  const needed = abstention ? `, ${percent(abstention.threshold)} needed` : "";
  return `not sure enough: ${label} at ${percent(confidence)}${needed}`;
}

function finding({ feature, tensor, reading, value, outside, low, high }: Finding): string {
  const seen = `training saw ${rough(low)} to ${rough(high)}`;
  if (!Number.isFinite(value)) return `${feature} is missing, which training never saw`;
  if (reading === "column") return `${feature} is ${rough(value)}, ${seen}`;
  if (reading === "mean") return `its mean is ${rough(value)}, ${seen}`;
  if (reading === "std") return `its values vary by ${rough(value)}, ${seen}`;
  return `${percent(outside)} of ${tensor} lies outside what training saw`;
}

function named(spec: TensorSpec, values: readonly number[]): [string, string][] {
  const rows = values.slice(0, VALUES).map((value, place): [string, string] => {
    const name = values.length === 1 ? spec.name : `${spec.name} ${place + 1}`;
    return [spec.columns[place] ?? name, withUnit(value, spec.unit)];
  });
  const more = values.length - rows.length;
  return more > 0 ? [...rows, ["…", `${counted(more, "value")} more`]] : rows;
}

/** The first item's. */
function numbers(tensor: Tensor | undefined): number[] {
  if (!tensor) return [];
  const size = tensor.shape.slice(1).reduce((product, length) => product * length, 1);
  return Array.from({ length: size }, (_, place) => tensor.data[place] ?? Number.NaN);
}

function row(): Row {
  const name = make("span", { dir: "auto", className: "name" });
  const bar = make("div", { className: "bar" });
  const share = make("span", { className: "share" });
  // the number beside it says the same to who cannot see the bar
  const track = make("div", { className: "track", ariaHidden: "true" }, bar);
  return { line: make("li", {}, name, track, share), name, bar, share };
}

function fill(
  { line, name, bar, share }: Row,
  label: string,
  value: number | null,
  first: boolean,
) {
  name.textContent = label;
  line.classList.toggle("best", first);
  bar.style.width = `${100 * Math.min(1, Math.max(0, value ?? 0))}%`;
  share.textContent = value === null ? "" : percent(value);
}
