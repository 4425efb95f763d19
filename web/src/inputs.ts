/** The ways a person gives an input: draws it, fills a form, or chooses a real example. */

import { element } from "./answer";
import type { Golden, Signature, Tensor, TensorSpec, Tensors } from "./contract";
import { type ImageLayout, imageLayout, inkOf, inkTensor, item } from "./pixels";
import { rasterise, Sketchpad, showInk } from "./sketchpad";

const EXAMPLES = 12; // as many as fit in two rows on a phone
const SETTLE_MS = 500; // after the last stroke: the next one of a 4 or a 7 comes sooner

/** `counted` is false for a drawing that is still being made. */
export type Classify = (inputs: Tensors, counted: boolean) => void;

export interface InputCards {
  /** An example was chosen: show it where a person would have given it. */
  show(example: Tensors): void;
  clear(): void;
}

/** The card that fits the model's input, made visible; models of several inputs have none. */
export function inputCards(
  signature: Signature,
  classify: Classify,
  onClear: () => void,
): InputCards {
  const [spec, ...others] = signature.inputs;
  const layout = spec && imageLayout(spec);
  if (!spec || others.length > 0) return { show: () => {}, clear: () => {} };
  if (layout) return drawCard(layout, signature.labels, classify, onClear);
  if (spec.shape.length === 2) return formCard(spec, classify);
  return { show: () => {}, clear: () => {} };
}

function drawCard(
  layout: ImageLayout,
  labels: readonly string[],
  classify: Classify,
  onClear: () => void,
): InputCards {
  const seen = element<HTMLCanvasElement>("seen");
  const blank = new Float32Array(layout.width * layout.height);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const pad = new Sketchpad(element<HTMLCanvasElement>("pad"), (settled) => {
    clearTimeout(timer);
    if (pad.empty) return clear();
    const ink = rasterise(pad.strokes, layout);
    showInk(seen, ink, layout);
    const inputs = { [layout.name]: inkTensor(ink, layout) };
    classify(inputs, false);
    if (settled) timer = setTimeout(() => classify(inputs, true), SETTLE_MS);
  });
  const clear = () => {
    clearTimeout(timer);
    pad.clear();
    showInk(seen, blank, layout);
    onClear();
  };
  element("draw").hidden = false;
  const digits = labels.length > 0 && labels.every((label) => /^\d$/.test(label));
  element("draw-title").textContent = digits ? "Draw a digit" : "Draw";
  element("seen-size").textContent = `The model sees ${layout.width} × ${layout.height} pixels.`;
  element("clear").addEventListener("click", clear);
  pad.paint();
  showInk(seen, blank, layout);
  return {
    show: (example) => {
      clearTimeout(timer);
      showInk(seen, inkOf(example[layout.name]?.data ?? [], layout), layout);
      pad.showPicture(seen);
    },
    clear,
  };
}

function formCard(spec: TensorSpec, classify: Classify): InputCards {
  const width = spec.shape[1] ?? 0;
  const inputs = Array.from({ length: width }, (_, column) => {
    const input = document.createElement("input");
    input.inputMode = "decimal";
    input.name = spec.columns[column] ?? `${spec.name} ${column + 1}`;
    return input;
  });
  const labels = inputs.map((input) => {
    const label = document.createElement("label");
    label.append(input.name, input);
    return label;
  });
  const submit = () => {
    // an empty field is a missing value, which a model with an imputing step understands
    const data = inputs.map(({ value }) => (value.trim() ? Number(value) : Number.NaN));
    classify({ [spec.name]: { shape: [1, width], data } }, true);
  };
  const fields = element<HTMLFormElement>("fields");
  fields.replaceChildren(...labels);
  fields.addEventListener("change", submit);
  fields.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  element("form").hidden = false;
  return {
    show: (example) => {
      inputs.forEach((input, column) => {
        input.value = String(example[spec.name]?.data[column] ?? "");
      });
    },
    clear: () => fields.reset(),
  };
}

/** One button for each golden input: real items, one click away. */
export class ExampleRow {
  readonly #buttons: HTMLButtonElement[];

  constructor(signature: Signature, golden: Golden, onChoose: (example: Tensors) => void) {
    const spec = signature.inputs[0];
    const first: Tensor | undefined = spec && golden.inputs[spec.name];
    const layout = spec && signature.inputs.length === 1 ? imageLayout(spec) : null;
    const count = Math.min(EXAMPLES, first?.shape[0] ?? 0);
    this.#buttons = Array.from({ length: count }, (_, index) => {
      const example = Object.fromEntries(
        Object.entries(golden.inputs).map(([name, tensor]) => [name, item(tensor, index)]),
      );
      const button = document.createElement("button");
      button.type = "button";
      button.ariaPressed = "false";
      button.ariaLabel = `Example ${index + 1}`;
      const data = layout && example[layout.name]?.data;
      if (data) {
        const canvas = document.createElement("canvas");
        canvas.className = "pixels";
        showInk(canvas, inkOf(data, layout), layout);
        button.append(canvas);
      } else {
        button.className = "words";
        button.textContent = `Example ${index + 1}`;
      }
      button.addEventListener("click", () => {
        this.clear();
        button.ariaPressed = "true";
        onChoose(example);
      });
      return button;
    });
    element("example-row").replaceChildren(...this.#buttons);
    element("examples").hidden = count === 0;
  }

  /** None is chosen. */
  clear(): void {
    for (const button of this.#buttons) button.ariaPressed = "false";
  }
}
