/** Small helps for building the page by hand. */

import { make, button as plain } from "../inputs/dom";

export { make };

/** The element of that id; its absence is a mistake in index.html. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

export function button(text: string, onClick: () => void, className = ""): HTMLButtonElement {
  return Object.assign(plain(text, onClick), { className });
}

/** Rows of a quiet name and its value, as the window has them. */
export function facts(rows: Iterable<readonly [string, string]>): HTMLDListElement {
  const list = make("dl", { className: "facts" });
  for (const [name, value] of rows) {
    const told = make("dd", { textContent: value, dir: "auto" });
    list.append(make("div", {}, make("dt", { textContent: name, dir: "auto" }), told));
  }
  return list;
}

/** A file for the visitor to keep; nothing leaves the browser. */
export function download(name: string, content: string, type: string): void {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = make("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser reads it after the click
}
