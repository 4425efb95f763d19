/** The switch with which a visitor agrees to telemetry, and takes it back. */

import type { Telemetry } from "../bundle";
import type { Client } from "../client";
import type { Flushed } from "../telemetry";
import { element } from "./dom";

const WINDOW_MS = 60_000; // one record a minute at most
const KEY = `sanderling device ${location.pathname}`;

export class Sharing {
  readonly #box = element<HTMLInputElement>("consent");
  #timer: ReturnType<typeof setInterval> | undefined;
  #sent = 0;

  constructor(
    private readonly client: Client,
    base: URL,
    telemetry: Telemetry,
  ) {
    const { host } = new URL(telemetry.url, base);
    const elsewhere = host === base.host ? "" : ` They go to ${host}.`;
    const help = element("consent-help");
    help.textContent = (telemetry.notice || (help.textContent ?? "").trim()) + elsewhere;
    this.#box.addEventListener("change", () => void this.#set(this.#box.checked));
    document.addEventListener("visibilitychange", () => {
      // a page that is put away may never come back
      if (document.hidden && this.#box.checked) void this.flush();
    });
  }

  /** The model is there: the switch works, and an earlier yes still counts. */
  async open(): Promise<void> {
    this.#box.disabled = false;
    this.#box.checked = recall() !== null;
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
      remember(null);
      await this.client.ask("consent", { device: null });
      element("sent").textContent = "";
      return;
    }
    // a name for this browser, made only now, so that its records can be told from others'
    const device = recall() ?? `browser-${crypto.randomUUID().slice(0, 8)}`;
    remember(device);
    this.#timer = setInterval(() => void this.flush(), WINDOW_MS);
    this.#show(await this.client.ask("consent", { device }));
  }

  #show({ sent, left }: Flushed): void {
    if (!this.#box.checked) return;
    this.#sent += sent;
    element("sent").textContent = `${this.#sent} sent${left > 0 ? `, ${left} waiting` : ""}`;
  }
}

function recall(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // a browser may deny storage: then a yes holds until the page is left
  }
}

function remember(device: string | null): void {
  try {
    if (device === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, device);
  } catch {
    // as above
  }
}
