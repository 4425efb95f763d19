/** The switch with which a visitor agrees to telemetry, and takes it back. */

import type { Telemetry } from "../bundle";
import type { OpenedModel } from "../model";
import type { Flushed } from "../telemetry";
import { agreedName, onDisagreed } from "../visitor";
import { element } from "./dom";

export class Sharing {
  readonly #box = element<HTMLInputElement>("consent");
  #sent = 0;

  constructor(
    private readonly model: OpenedModel,
    private readonly base: URL,
    telemetry: Telemetry,
  ) {
    const { host } = new URL(telemetry.url, base);
    const elsewhere = host === base.host ? "" : ` They go to ${host}.`;
    const help = element("consent-help");
    help.textContent = (telemetry.notice || (help.textContent ?? "").trim()) + elsewhere;
    this.#box.addEventListener("change", () => void this.#set(this.#box.checked));
    onDisagreed(base, () => {
      this.#box.checked = false;
      void this.#set(false);
    });
  }

  /** The model is there: the switch works, and an earlier yes still counts. */
  async open(): Promise<void> {
    this.#box.disabled = false;
    this.#box.checked = agreedName(this.base) !== null;
    if (this.#box.checked) await this.#set(true);
  }

  async flush(): Promise<Flushed> {
    const flushed = await this.model.client.ask("flush", {});
    this.#show(flushed);
    return flushed;
  }

  async #set(agreed: boolean): Promise<void> {
    const flushed = await this.model.share(agreed, (later) => this.#show(later));
    if (agreed) this.#show(flushed);
    else element("sent").textContent = "";
  }

  #show({ sent, left, why }: Flushed): void {
    if (!this.#box.checked) return;
    this.#sent += sent;
    const told = `${this.#sent} sent${left > 0 ? `, ${left} waiting` : ""}`;
    element("sent").textContent = why ? `${told}. ${why}` : told;
  }
}
