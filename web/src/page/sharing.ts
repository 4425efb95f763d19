/** The switch with which a visitor agrees to telemetry, and takes it back. */

import type { Telemetry } from "../bundle";
import type { Client } from "../client";
import type { Flushed } from "../telemetry";
import { agree, agreedName, disagree, onDisagreed } from "../visitor";
import { element } from "./dom";

const WINDOW_MS = 60_000; // one record a minute at most

export class Sharing {
  readonly #box = element<HTMLInputElement>("consent");
  #timer: ReturnType<typeof setInterval> | undefined;
  #sent = 0;

  constructor(
    private readonly client: Client,
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
    document.addEventListener("visibilitychange", () => {
      // a page that is put away may never come back
      if (document.hidden && this.#box.checked) void this.flush();
    });
  }

  /** The model is there: the switch works, and an earlier yes still counts. */
  async open(): Promise<void> {
    this.#box.disabled = false;
    this.#box.checked = agreedName(this.base) !== null;
    if (this.#box.checked) await this.#set(true);
  }

  async flush(): Promise<Flushed> {
    const flushed = await this.client.ask("flush", {});
    this.#show(flushed);
    return flushed;
  }

  async #set(agreed: boolean): Promise<void> {
    clearInterval(this.#timer);
    if (!agreed) {
      disagree(this.base);
      await this.client.ask("consent", { device: null });
      element("sent").textContent = "";
      return;
    }
    const device = agree(this.base);
    this.#timer = setInterval(() => void this.flush(), WINDOW_MS);
    this.#show(await this.client.ask("consent", { device }));
  }

  #show({ sent, left, why }: Flushed): void {
    if (!this.#box.checked) return;
    this.#sent += sent;
    const told = `${this.#sent} sent${left > 0 ? `, ${left} waiting` : ""}`;
    element("sent").textContent = why ? `${told}. ${why}` : told;
  }
}
