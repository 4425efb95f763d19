/** Real items from the package, one click away. */

import type { Golden, Signature, Tensors } from "../contract";
import { imageLayout, inkOf, item } from "../inputs/pixels";
import { showInk } from "../inputs/sketchpad";
import { make } from "./dom";

const MOST = 12; // as many as fit in two rows on a phone

export class ExampleRow {
  readonly #buttons: readonly HTMLButtonElement[];

  constructor(
    place: HTMLElement,
    signature: Signature,
    golden: Golden,
    onChoose: (example: Tensors) => void,
  ) {
    const [spec] = signature.inputs;
    const first = spec && golden.inputs[spec.name];
    const layout = spec && signature.inputs.length === 1 ? imageLayout(spec) : null;
    const count = Math.min(MOST, first?.shape[0] ?? 0);
    this.#buttons = Array.from({ length: count }, (_, index) => {
      const example = Object.fromEntries(
        Object.entries(golden.inputs).map(([name, tensor]) => [name, item(tensor, index)]),
      );
      const name = `Example ${index + 1}`;
      const made = make("button", { type: "button", ariaPressed: "false", ariaLabel: name });
      const data = layout && example[layout.name]?.data;
      if (data) {
        const canvas = make("canvas", { className: "pixels" });
        showInk(canvas, inkOf(data, layout), layout);
        made.append(canvas);
      } else {
        made.className = "words";
        made.textContent = name;
      }
      made.addEventListener("click", () => {
        this.clear();
        made.ariaPressed = "true";
        onChoose(example);
      });
      return made;
    });
    place.replaceChildren(...this.#buttons);
  }

  get empty(): boolean {
    return this.#buttons.length === 0;
  }

  /** None is chosen. */
  clear(): void {
    for (const each of this.#buttons) each.ariaPressed = "false";
  }
}
