/** One message to the collector, and what its answer means for the next. */

import { readAcknowledgement } from "./contract";

/** Where a bundle's records go. */
export interface Collector {
  readonly url: string; // from the bundle's folder, or of another host
  readonly token: string; // opens another host's collector; empty beside the page
}

/** The ids that the collector has on its disk; a `Refusal`, or another error when it is away. */
export type Post = (body: string, stop: AbortSignal) => Promise<readonly string[]>;

/** The collector answered, and did not take the message. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly waitMs: number, // that it asks for; 0 for none
  ) {
    super(`the collector answered ${status}`);
  }

  /** Whether the message had more bytes than it takes. */
  get tooLarge(): boolean {
    return this.status === 413;
  }

  /** Whether it will say the same to the same message again. */
  get unreadable(): boolean {
    return [400, 413, 415, 422].includes(this.status);
  }

  /** A sentence for the visitor, where the records cannot go out from this page at all. */
  get why(): string {
    if ([401, 403].includes(this.status)) return "The collector takes no records from this page.";
    if ([404, 405, 501].includes(this.status))
      return "There is no collector at the page's address.";
    if (this.tooLarge) return "A record of so many features is more than the collector takes.";
    return "";
  }
}

export const BODY_LIMIT = 60_000; // bytes: of a page that is left, browsers send 64 KiB at most
const ANSWER_LIMIT_MS = 30_000;

/** Posts to the bundle's collector, and to no other address. */
export function postTo(base: URL, { url, token }: Collector): Post {
  return async (body, stop) => {
    const plain = new TextEncoder().encode(body);
    // a record of very many features is more than a body may hold: gzip leaves a third of it
    const packed = plain.length > BODY_LIMIT ? await gzip(plain) : plain;
    const answer = await fetch(new URL(url, base), {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(packed === plain ? {} : { "content-encoding": "gzip" }),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      body: packed,
      // it goes out even when the page is left meanwhile. Browsers refuse this to a larger one, of
      // some 400 features and more: that is broken off then, and the outbox has it at the next visit
      keepalive: packed.length <= BODY_LIMIT,
      credentials: "omit",
      referrerPolicy: "no-referrer",
      redirect: "error", // a redirect could lead to another host
      signal: AbortSignal.any([stop, AbortSignal.timeout(ANSWER_LIMIT_MS)]),
    });
    if (!answer.ok) throw new Refusal(answer.status, patience(answer.headers.get("retry-after")));
    return readAcknowledgement(await answer.json());
  };
}

async function gzip(plain: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const packed = new Blob([plain]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

/** Milliseconds of a `Retry-After` in seconds, as our collector writes it; 0 for none. */
function patience(header: string | null): number {
  const seconds = Number(header ?? 0);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}
