/** What runs here: which model, by which engine, whether it is the one that was signed. */

import { sha256 } from "../bundle";
import type { Started } from "../messages";
import { engineWords } from "./benchmark";
import { button, facts, make } from "./dom";

export class AboutCard {
  #list = make("dl");
  #by = "this page, until Python has started";
  #key = "";
  readonly #kept = make("span", { className: "actions", hidden: true });

  constructor(
    place: HTMLElement,
    private readonly started: Started,
  ) {
    place.querySelector(".title")?.append(this.#kept);
    place.append(this.#list);
    this.#show();
    if (started.trust.signed) void this.#nameKey();
  }

  /** Who names the answers from now on. */
  named(byPython: boolean): void {
    const { python } = this.started.bundle;
    const after = python?.after ? `, then ${python.after}` : "";
    this.#by = byPython ? `Python ${python?.version ?? ""}${after}` : "this page";
    this.#show();
  }

  /** Something is kept for use without the host, which `remove` gives back. */
  kept(offline: boolean, remove: () => Promise<void>): void {
    this.#kept.hidden = !offline;
    if (this.#kept.hasChildNodes()) return;
    const remover = button("Remove the offline copy", async () => {
      remover.disabled = true; // an update under way may take its time
      await remove();
      remover.disabled = false;
    });
    this.#kept.append(remover);
  }

  async #nameKey(): Promise<void> {
    const raw = Uint8Array.from(atob(this.started.bundle.key), (letter) => letter.charCodeAt(0));
    this.#key = (await sha256(raw)).slice(0, 16);
    this.#show();
  }

  #show(): void {
    const { manifest, bundle, engine, difference, trust, profile } = this.started;
    const signed = trust.signed ? `yes${this.#key ? `, with key ${this.#key}` : ""}` : trust.note;
    const apart = difference === 0 ? "none" : difference.toExponential(1);
    const rows: [string, string][] = [
      ["Version", manifest.version],
      ["Engine", engineWords(engine)],
      ["Answers named by", this.#by],
      ["Difference to the desktop", apart],
      ["Signature", signed],
      ["Reference items", profile.samples.toLocaleString("en")],
      ["Sanderling", bundle.sanderling],
    ];
    const list = facts(rows);
    this.#list.replaceWith(list);
    this.#list = list;
  }
}
