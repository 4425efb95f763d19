/**
 * What a visitor says an answer should have been. The owner of the page gets to know how often
 * which class was taken for which, after consent; the inputs themselves stay here, in memory, until
 * the visitor downloads them.
 */

import type { Manifest, Signature, Tensors } from "../contract";
import type { Prediction } from "../messages";
import { type Cell, csv } from "./csv";
import { button, download, make } from "./dom";
import { counted } from "./words";

const CHOICES = 50; // classes that fit a menu; more are typed, with suggestions

export interface Judged {
  readonly at: string; // ISO 8601
  readonly predicted: string;
  readonly confidence: number | undefined;
  readonly actual: string;
  readonly inputs: Tensors;
}

/** A table's values get a column each, as training reads them; other inputs their JSON. */
export function table({ name, version, signature }: Manifest, judged: readonly Judged[]): string {
  const flat = signature.inputs.flatMap((spec) => {
    if (spec.shape.length !== 2 || spec.columns.length === 0) return [spec.name];
    return spec.columns;
  });
  return csv(
    [...flat, ...OURS.map((word) => apart(word, flat))],
    judged.map(({ at, predicted, confidence, actual, inputs }): Cell[] => {
      const cells = signature.inputs.flatMap((spec): Cell[] => {
        const given = inputs[spec.name];
        const values = Array.from(given?.data ?? []);
        if (spec.shape.length === 2 && spec.columns.length > 0) {
          return spec.columns.map((_, place) => values[place]);
        }
        return [JSON.stringify({ shape: given?.shape ?? [], data: values })];
      });
      return [...cells, actual, predicted, confidence, name, version, at];
    }),
  );
}

const OURS = ["label", "predicted", "confidence", "model", "version", "at"];

/** A name that no column of the input has. */
function apart(name: string, taken: readonly string[]): string {
  return taken.includes(name) ? apart(`${name}_`, taken) : name;
}

export class Feedback {
  readonly button = button("Wrong?", () => this.#toggle());
  readonly place = make("div", { className: "feedback", hidden: true });
  readonly #kept = make("div", { className: "kept", id: "kept", hidden: true });
  readonly #judged: Judged[] = [];
  #about: { readonly inputs: Tensors; readonly prediction: Prediction } | null = null;

  constructor(
    private readonly manifest: Manifest,
    private readonly tell: (predicted: string, actual: string) => void,
    private readonly say: (text: string) => void,
  ) {
    this.button.ariaExpanded = "false";
  }

  /** Where the list of what was said is shown. */
  get list(): HTMLElement {
    return this.#kept;
  }

  about(inputs: Tensors | null, prediction: Prediction | null): void {
    this.#about = inputs && prediction ? { inputs, prediction } : null;
    this.#close();
  }

  #close(): void {
    this.place.hidden = true;
    this.button.ariaExpanded = "false";
  }

  #toggle(): void {
    const open = !this.place.hidden;
    this.#close();
    if (open) return;
    const { signature } = this.manifest;
    const field = choice(signature);
    const form = make(
      "form",
      { className: "row" },
      make("label", {}, "It is ", field),
      make("button", { type: "submit", textContent: "Keep" }),
    );
    if (field instanceof HTMLInputElement && signature.labels.length > 0) {
      const list = make("datalist", { id: "classes" });
      list.append(...signature.labels.map((label) => make("option", { value: label })));
      form.append(list);
    }
    field.addEventListener("input", () => field.setCustomValidity("")); // else it stays refused
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#keep(field);
    });
    this.place.replaceChildren(form);
    this.place.hidden = false;
    this.button.ariaExpanded = "true";
    field.focus();
  }

  #keep(field: HTMLInputElement | HTMLSelectElement): void {
    const { labels } = this.manifest.signature;
    const actual = field.value.trim();
    const known = labels.length === 0 || labels.includes(actual);
    field.setCustomValidity(known ? "" : "Choose one of the model's classes.");
    if (!this.#about || !field.reportValidity()) return;
    const { inputs, prediction } = this.#about;
    const { label, confidence } = prediction.answers[0] ?? {};
    const [spec] = this.manifest.signature.outputs;
    const number = spec && prediction.outputs[spec.name]?.data[0];
    const predicted = label ?? String(number ?? "");
    const at = new Date().toISOString();
    this.#judged.push({ at, predicted, confidence, actual, inputs });
    if (label !== undefined) this.tell(label, actual);
    this.#close();
    this.#show();
    this.button.focus();
    this.say("Kept.");
  }

  #show(): void {
    const count = this.#judged.length;
    const { name } = this.manifest;
    const save = () =>
      download(`${name}-labels.csv`, table(this.manifest, this.#judged), "text/csv");
    const forget = () => {
      this.#judged.length = 0;
      this.#show();
    };
    const told = `${counted(count, "label")} kept with the input, in this tab only.`;
    this.#kept.hidden = count === 0;
    this.#kept.replaceChildren(
      make("span", { className: "quiet", textContent: told }),
      make("span", { className: "actions" }, button("Download", save), button("Forget", forget)),
    );
  }
}

function choice({ labels, outputs }: Signature): HTMLInputElement | HTMLSelectElement {
  if (labels.length === 0) {
    const unit = outputs[0]?.unit ?? "";
    return make("input", {
      type: "number",
      step: "any",
      required: true,
      ariaLabel: `It is … ${unit}`,
    });
  }
  if (labels.length > CHOICES) {
    const field = make("input", { type: "text", required: true, autocomplete: "off" });
    field.setAttribute("list", "classes");
    return field;
  }
  const menu = make("select", { required: true });
  menu.append(make("option", { value: "", textContent: "choose …" }));
  menu.append(...labels.map((label) => make("option", { value: label, textContent: label })));
  return menu;
}
