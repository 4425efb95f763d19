// @vitest-environment node

import { expect, test } from "vitest";
import { sha256 } from "../src/bundle";
import { hasRelaxedSimd } from "../src/engines/abilities";
import { integrityOf } from "../src/integrity";
import { Browser, bundled, type Files, signer } from "./hosting";

const FIRST: Files = {
  "index.html": "<p>one",
  "page.js": "page()",
  "worker.js": "work()",
  "package/model.onnx": "weights",
};
const SECOND: Files = { ...FIRST, "index.html": "<p>two", "package/model.onnx": "new weights" };

const us = await signer();
const one = await bundled(FIRST, us, "111111111111");
const two = await bundled(SECOND, us, "222222222222");

/** A browser that has kept the first bundle. */
async function visited(address?: string): Promise<Browser> {
  const browser = new Browser(address);
  browser.host.files = one.files;
  await browser.visit(one.digest);
  browser.host.asked.length = 0;
  return browser;
}

async function updated(): Promise<Browser> {
  const browser = await visited();
  browser.host.files = two.files;
  await browser.visit(one.digest);
  await browser.keeper.adopt(two.digest);
  browser.host.asked.length = 0;
  return browser;
}

function away(browser: Browser): void {
  const gone = async () => {
    throw new TypeError("Failed to fetch");
  };
  const paths = [...Object.keys(two.files)];
  browser.host.spoilt = Object.fromEntries(paths.map((path) => [path, gone]));
}

const sri = async (text: string) =>
  integrityOf({ sha256: await sha256(new TextEncoder().encode(text)), size: 0, extra: {} });

test("what has answered in this page is kept without a trial, and needs no host from then on", async () => {
  const browser = new Browser();
  browser.host.files = one.files;

  const report = await browser.visit(one.digest);
  away(browser);
  browser.restart();

  expect(report).toMatchObject({ state: "current", offline: true, message: "" });
  for (const [path, content] of Object.entries(one.files)) {
    expect(await browser.get(path)).toBe(content);
  }
  expect(await browser.get("", { mode: "navigate" })).toBe("<p>one");
  expect(await browser.get("?from=a-link", { mode: "navigate" })).toBe("<p>one");
});

test("of the two builds of an engine the one for other browsers is not stored", async () => {
  const builds = { "engines/litert/a.wasm": "fused", "engines/litert-compat/a.wasm": "plain" };
  const both = await bundled({ ...FIRST, ...builds }, us);
  const browser = new Browser();
  browser.host.files = both.files;

  const report = await browser.visit(both.digest);

  const asked = browser.host.asked.filter((path) => path.startsWith("engines/"));
  expect(asked).toEqual([
    hasRelaxedSimd() ? "engines/litert/a.wasm" : "engines/litert-compat/a.wasm",
  ]);
  expect(report).toMatchObject({ state: "current", offline: true });
});

test("what is served allows shared memory, and modules their type, whatever the host sends", async () => {
  const browser = await visited();

  const answer = await browser.desk.respond(new Request(new URL("page.js", browser.scope)));

  expect(answer.headers.get("cross-origin-embedder-policy")).toBe("require-corp");
  expect(answer.headers.get("cross-origin-opener-policy")).toBe("same-origin");
  expect(answer.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
  expect(answer.headers.get("etag")).toBeNull();
});

test("an update is fetched where it differs, and the old one stays until it was tried", async () => {
  const browser = await visited();
  browser.host.files = two.files;

  const found = await browser.visit(one.digest);
  const during = await browser.get("index.html");
  const onTrial = await browser.get(`.trial/${two.digest.slice(0, 16)}/package/model.onnx`);
  const adopted = await browser.keeper.adopt(two.digest);

  expect(found).toMatchObject({ state: "candidate", digest: two.digest, offline: true });
  const fetched = browser.host.asked.filter((path) => !path.startsWith("bundle."));
  expect(fetched).toEqual(["index.html", "package/model.onnx"]);
  expect([during, onTrial]).toEqual(["<p>one", "new weights"]);
  expect(adopted.message).toBe("digits 222222222222 is new here. It starts with the next visit.");
  expect(await browser.get("", { mode: "navigate" })).toBe("<p>two");
});

test("only what is on trial is served as such", async () => {
  const browser = await visited();

  expect(await browser.get(`.trial/${one.digest.slice(0, 16)}/index.html`)).toBe(404);
  expect(await browser.get(`.trial/${two.digest.slice(0, 16)}/index.html`)).toBe(404);
});

const MODEL = "package/model.onnx";
const FAULTS: [string, (stop: AbortSignal) => Promise<Response>, string][] = [
  ["an error", async () => new Response("", { status: 503 }), "the host answered 503"],
  ["half a file", async () => new Response("new we"), "did not come whole: 6 of 11 bytes"],
  ["no answer", () => Promise.reject(new TypeError("Failed to fetch")), "could not be fetched"],
  ["a stall", () => new Promise(() => {}), "the host stopped in the middle"],
  ["a stall in the middle", async (stop) => stalled("new", stop), "the host stopped in the middle"],
];

function stalled(beginning: string, stop: AbortSignal): Response {
  return new Response(
    new ReadableStream({
      start: (stream) => {
        stream.enqueue(new TextEncoder().encode(beginning));
        stop.addEventListener("abort", () => stream.error(stop.reason));
      },
    }),
  );
}

test.each(FAULTS)(
  "%s in an update loses nothing, and the next check goes on",
  async (_, fault, why) => {
    const browser = await visited();
    browser.host.files = two.files;
    browser.host.spoilt = { [MODEL]: fault };

    const failed = await browser.visit(one.digest);
    const meanwhile = await browser.get("");
    browser.host.spoilt = {};
    browser.host.asked.length = 0;
    browser.restart();
    const again = await browser.visit(one.digest);

    expect(failed).toMatchObject({ state: "failed", offline: true });
    expect(failed.message).toMatch(new RegExp(`^${MODEL}.*(${why})`));
    expect(meanwhile).toBe("<p>one");
    expect(again.state).toBe("candidate");
    expect(browser.host.asked).toEqual(["bundle.json", "bundle.sig", MODEL]);
  },
);

test("a host that is slow but goes on is waited for", async () => {
  const browser = await visited();
  browser.host.files = two.files;
  browser.host.spoilt = { [MODEL]: async () => slowly("new weights") };

  expect((await browser.visit(one.digest)).state).toBe("candidate");
});

/** Takes longer than a stall may, but never between two letters. */
function slowly(text: string): Response {
  const letters = [...text];
  return new Response(
    new ReadableStream({
      pull: async (stream) => {
        await new Promise((resolve) => setTimeout(resolve, 10));
        const letter = letters.shift();
        if (letter === undefined) stream.close();
        else stream.enqueue(new TextEncoder().encode(letter));
      },
    }),
  );
}

test("a host that is away is no failure of what is kept", async () => {
  const browser = await visited();
  away(browser);

  const report = await browser.visit(one.digest);

  expect(report).toMatchObject({ state: "failed", offline: true });
  expect(report.message).toContain("bundle.json could not be fetched");
});

test("a file that is another one than the index says is refused by name", async () => {
  const browser = await visited();
  browser.host.files = { ...two.files, [MODEL]: "evil weight" };

  const report = await browser.visit(one.digest);

  expect(report).toMatchObject({ state: "refused", offline: true });
  expect(report.message).toContain(`${MODEL} is not the file that was bundled`);
  expect(await browser.get(MODEL)).toBe("weights");
});

test("another signer's bundle is refused, and so is one whose index was changed", async () => {
  const browser = await visited();
  const theirs = await bundled(SECOND, await signer());

  browser.host.files = theirs.files;
  const foreign = await browser.visit(one.digest);
  const changed = (two.files["bundle.json"] ?? "").replace(
    '"accelerate":false',
    '"accelerate":true',
  );
  browser.host.files = { ...two.files, "bundle.json": changed };
  const forged = await browser.visit(one.digest);

  expect(foreign.state).toBe("refused");
  expect(foreign.message).toContain("signed with another key");
  expect(forged.state).toBe("refused");
  expect(forged.message).toContain("not as it was signed");
  expect(browser.host.asked).not.toContain(MODEL);
  expect(await browser.get("")).toBe("<p>one");
});

test("the signer stays the first one's, also where the browser has lost the files", async () => {
  const browser = await visited();
  browser.storage.caches.delete(browser.shelf.name(one.digest));
  browser.restart();
  browser.host.files = (await bundled(SECOND, await signer())).files;

  expect((await browser.visit("")).message).toContain("signed with another key");
});

test("a bundle that fails its trials is refused with the reason, and fetched no more", async () => {
  const browser = await visited();
  browser.host.files = two.files;

  for (const _ of [1, 2]) {
    expect((await browser.visit(one.digest)).state).toBe("candidate");
    await browser.keeper.reject(two.digest, "It answers 0.3 off here.");
  }
  browser.restart();
  const refused = await browser.visit(one.digest);

  expect(refused.state).toBe("refused");
  expect(refused.message).toContain("failed in this browser and is not taken: It answers 0.3 off");
  expect(await browser.get("")).toBe("<p>one");
});

test("a tab that is closed during each trial does not try for ever", async () => {
  const browser = await visited();
  browser.host.files = two.files;

  const states = [];
  for (const _ of [1, 2, 3]) states.push((await browser.visit(one.digest)).state);

  expect(states).toEqual(["candidate", "candidate", "refused"]);
});

test("a host that goes back to an earlier bundle is followed, in words", async () => {
  const browser = await updated();
  browser.host.files = one.files;

  await browser.visit(two.digest);
  const back = await browser.keeper.adopt(one.digest);

  expect(back.message).toMatch(/^The host went back to an earlier version: digits 1111/);
});

test("an update comes in steps, so that no browser ends it half way", async () => {
  const browser = await visited();
  browser.host.files = two.files;
  browser.host.spoilt = {
    "index.html": async () => {
      browser.around.time += 60_000;
      return new Response("<p>two");
    },
  };

  const first = await browser.keeper.check(one.digest);
  const second = await browser.keeper.check(one.digest);

  expect(first).toMatchObject({ state: "storing", offline: true });
  expect(first.share).toBeGreaterThan(0);
  expect(first.share).toBeLessThan(1);
  expect(second.state).toBe("candidate");
});

test("what cannot be stored is not fetched", async () => {
  const browser = new Browser();
  browser.host.files = one.files;
  browser.around.bytes = 10;

  const report = await browser.visit(one.digest);

  expect(report).toMatchObject({ state: "failed", offline: false });
  expect(report.message).toContain("no room for another 1 MB");
  expect(browser.host.asked).not.toContain(MODEL);
});

test("a disk that is full in the middle gives back the half bundle, and the old one stays", async () => {
  const browser = await visited();
  browser.host.files = two.files;
  browser.host.spoilt = {
    [MODEL]: async () => {
      browser.storage.full = true;
      return new Response("new weights");
    },
  };

  const report = await browser.keeper.check(one.digest);

  expect(report.message).toContain("no room");
  expect(browser.cache(two.digest)).toBeUndefined();
  expect(await browser.get("")).toBe("<p>one");
});

test("the bundle before goes when a start of the new one came to its end, and nobody else is there", async () => {
  const browser = await updated();

  browser.around.pages = 2;
  await browser.visit(two.digest);
  const inUse = browser.cache(one.digest);
  browser.around.pages = 1;
  await browser.visit(two.digest);

  expect(inUse).toBeDefined();
  expect(browser.cache(one.digest)).toBeUndefined();
  expect(browser.cache(two.digest)).toBeDefined();
});

test("a page from before an update goes on with its own files", async () => {
  const browser = await updated();

  expect(await browser.get(MODEL)).toBe("new weights");
  expect(await browser.get(MODEL, { integrity: await sri("weights") })).toBe("weights");
  expect(await browser.get(MODEL, { integrity: await sri("new weights") })).toBe("new weights");
});

test("a damaged entry is mended from the host without a word", async () => {
  const browser = await visited();
  const cache = browser.cache(one.digest);
  cache?.entries.set(browser.shelf.address("page.js"), new Response("decayed"));
  cache?.entries.delete(browser.shelf.address("worker.js"));

  const found = [await browser.get("page.js"), await browser.get("worker.js")];
  away(browser);
  browser.restart();

  expect(found).toEqual(["page()", "work()"]);
  expect([await browser.get("page.js"), await browser.get("worker.js")]).toEqual(found);
});

test("a list of files that has decayed is not gone by, and is mended at the next check", async () => {
  const browser = await visited();
  const index = browser.shelf.address("bundle.json");
  const decayed = (one.files["bundle.json"] ?? "").replace("digits", "fidget");
  browser.cache(one.digest)?.entries.set(index, new Response(decayed));
  browser.restart();

  const during = await browser.get("bundle.json");
  await browser.visit(one.digest);
  away(browser);
  browser.restart();

  expect(during).toBe(one.files["bundle.json"]);
  expect(await browser.get("bundle.json")).toBe(one.files["bundle.json"]);
});

test("what the browser checks by its hash is mended when the page asks for it afresh", async () => {
  const browser = await visited();
  const integrity = await sri("weights");
  browser.cache(one.digest)?.entries.set(browser.shelf.address(MODEL), new Response("decayed"));

  const plain = await browser.get(MODEL, { integrity });
  const fresh = await browser.get(`${MODEL}?fresh`, { integrity });

  expect([plain, fresh]).toEqual(["decayed", "weights"]); // a real browser refuses the first
  expect(await browser.get(MODEL, { integrity })).toBe("weights");
});

test("a bundle that cannot be mended gives way to what the host has", async () => {
  const browser = await visited();
  browser.host.files = two.files;
  browser.cache(one.digest)?.entries.delete(browser.shelf.address(MODEL));

  const broken = await browser.get(MODEL);
  const next = await browser.get("", { mode: "navigate" });
  const report = await browser.keeper.check(two.digest);

  expect(broken).toBe(502); // never another bundle's file in its place
  expect(next).toBe("<p>two");
  expect(report.state).toBe("current");
  away(browser);
  expect(await browser.get("", { mode: "navigate" })).toBe("<p>two");
});

test("after three starts without an end the host is asked first, and what is kept is the way out", async () => {
  const browser = await visited();
  browser.host.files = two.files;
  const start = () => browser.get("", { mode: "navigate" });

  const starts = [await start(), await start(), await start(), await start()];
  away(browser);

  expect(starts).toEqual(["<p>one", "<p>one", "<p>one", "<p>two"]);
  expect(await start()).toBe("<p>one");
});

test("bundles of one origin do not mix, not even one in the folder of the other", async () => {
  const outer = await visited("https://host.test/");
  const inner = new Browser("https://host.test/app/", outer.storage);
  inner.host.files = two.files;
  await inner.visit(two.digest);

  expect(await inner.get("")).toBe("<p>two");
  expect(await outer.get("")).toBe("<p>one");
  expect(await outer.get("app/nothing.js")).toBe(404);
  await inner.shelf.forget();
  expect(await outer.get("")).toBe("<p>one");
  expect(inner.cache(two.digest)).toBeUndefined();
});

test("other caches of the page are left alone", async () => {
  const browser = await visited();
  await browser.storage.open("sanderling /app/ snapshot");
  await browser.storage.open("a neighbour's");

  await browser.shelf.forget();

  expect(await browser.storage.keys()).toEqual(["sanderling /app/ snapshot", "a neighbour's"]);
});

test("where storage fails the page is served by its host", async () => {
  const browser = await visited();
  browser.restart();
  browser.storage.open = () => Promise.reject(new DOMException("denied", "SecurityError"));

  expect(await browser.get("page.js")).toBe("page()");
  expect(await browser.keeper.check(one.digest)).toMatchObject({ state: "failed", offline: false });
});

test("a state that cannot be read is as none", async () => {
  const browser = await visited();
  const state = browser.storage.caches.get(browser.shelf.name("state"));
  state?.entries.set(browser.shelf.address("state"), new Response('{"schema":1,"active":7}'));
  browser.restart();

  const report = await browser.visit(one.digest);

  expect(report).toMatchObject({ state: "current", offline: true });
});
