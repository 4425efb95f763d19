/** Real items from the package, one click away. */

import type { Golden, Signature, Tensors } from "../contract";
import { item } from "../inputs/pixels";
import { thumbnail } from "../inputs/thumbnails";
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
    const alone = signature.inputs.length === 1;
    const count = Math.min(MOST, first?.shape[0] ?? 0);
    this.#buttons = Array.from({ length: count }, (_, index) => {
      const example = Object.fromEntries(
        Object.entries(golden.inputs).map(([name, tensor]) => [name, item(tensor, index)]),
      );
      const name = `Example ${index + 1}`;
      const made = make("button", { type: "button", ariaPressed: "false", ariaLabel: name });
      const tensor = spec && alone && example[spec.name];
      const picture = tensor ? thumbnail(spec, signature.labels, tensor) : null;
      if (picture) {
        made.append(picture);
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
