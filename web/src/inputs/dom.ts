/** The few ways in which cards build what is on the page. */

import { EdgeError } from "../read";

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const found = Object.assign(document.createElement(tag), properties);
  found.append(...children);
  return found;
}

export function button(text: string, onClick: () => void): HTMLButtonElement {
  const found = make("button", { type: "button", textContent: text });
  found.addEventListener("click", onClick);
  return found;
}

/** The card's first line: what it is, and what can be done. */
export function heading(place: HTMLElement, title: string, ...actions: HTMLElement[]): HTMLElement {
  const id = `${place.id || "input"}-title`;
  place.setAttribute("aria-labelledby", id);
  const row = make("div", { className: "input-actions" }, ...actions);
  return make("div", { className: "title" }, make("h2", { id, textContent: title }), row);
}

/** Says what went wrong in a card, beside what it went wrong with. */
export class Problem {
  readonly element = make("div", { className: "input-problem", hidden: true, role: "alert" });

  show(error: unknown): void {
    const known = error instanceof EdgeError;
    const message = error instanceof Error ? error.message : String(error);
    this.element.replaceChildren(
      make("strong", { textContent: message }),
      make("span", { textContent: known ? error.hint : "" }),
    );
    this.element.hidden = false;
  }

  clear(): void {
    this.element.replaceChildren();
    this.element.hidden = true;
  }

  /** Does the work; what it throws is shown. Whether it went well. */
  async watch(work: () => Promise<void> | void): Promise<boolean> {
    try {
      await work();
      this.clear();
      return true;
    } catch (error) {
      this.show(error);
      return false;
    }
  }
}

/** What takes a file: a button, a place to drop one, and the clipboard. */
export interface FileTaking {
  readonly place: HTMLElement;
  readonly label: string;
  readonly accept: string;
  readonly problem: Problem;
  readonly take: (file: File) => Promise<void> | void;
}

/** The button; dropping and pasting work from then on. */
export function fileButton({ place, label, accept, problem, take }: FileTaking): HTMLElement {
  const input = make("input", { type: "file", accept, className: "input-hidden" });
  const taken = ([file, ...others]: readonly File[]) => {
    if (!file) return;
    void problem.watch(async () => {
      await take(file);
      if (others.length === 0) return;
      throw new EdgeError(
        `Only ${file.name} was taken: ${others.length + 1} files came at once.`,
        "Batch mode takes many.",
      );
    });
  };
  input.addEventListener("change", () => {
    taken([...(input.files ?? [])]);
    input.value = ""; // so that the same file can be chosen again
  });
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("input-over");
  });
  for (const end of ["dragleave", "drop"] as const) {
    place.addEventListener(end, () => place.classList.remove("input-over"));
  }
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    taken([...(event.dataTransfer?.files ?? [])]);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length > 0) event.preventDefault();
    taken(files);
  });
  return make("label", { className: "input-button" }, label, input);
}

/** The words of a device that does not come; `what` is "camera" or "microphone". */
export function deviceError(what: string, error: unknown): EdgeError {
  const name = error instanceof DOMException ? error.name : "";
  const file = "Or choose a file.";
  if (!navigator.mediaDevices) {
    return new EdgeError(
      `This page cannot use the ${what}: browsers lend it to secure addresses only.`,
      `Open the page over https, or on this machine as http://localhost. ${file}`,
    );
  }
  if (name === "NotAllowedError" || name === "SecurityError") {
    return new EdgeError(
      `The ${what} was refused.`,
      `Allow it beside the page's address and try again. ${file}`,
    );
  }
  if (name === "NotFoundError" || name === "OverconstrainedError") {
    return new EdgeError(`There is no ${what} here.`, `Connect one and try again. ${file}`);
  }
  return new EdgeError(
    `The ${what} does not start${name ? ` (${name})` : ""}.`,
    `Close other programs that use it and try again. ${file}`,
  );
}
