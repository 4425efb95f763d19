import { beforeEach, describe, expect, it } from "vitest";
import { openBundle, sha256 } from "../src/bundle";
import { Fetcher, integrityOf } from "../src/integrity";
import { bundled, Host, type Signer, signer } from "./hosting";

const FILES = { "page.js": "export {}", "package/model.onnx": "numbers" };
const BASE = new URL("https://host.test/app/");
const bytes = (text: string) => new TextEncoder().encode(text);

let owner: Signer;

beforeEach(async () => {
  owner = await signer();
});

describe("a bundle's list", () => {
  it("is believed when it is as it was signed", async () => {
    const { files, digest } = await bundled(FILES, owner);

    const opened = await openBundle(
      bytes(files["bundle.json"] ?? ""),
      bytes(files["bundle.sig"] ?? ""),
    );

    expect(opened).toMatchObject({ digest, signed: true, note: "" });
    expect(opened.index.files.get("page.js")?.size).toBe(9);
  });

  it.each([
    ["was changed", (list: string) => list.replace("ort", "litert"), (proof: string) => proof],
    ["has another's signature", (list: string) => list, () => "stranger"],
  ])("is refused when it %s", async (_, change, prove) => {
    const { files } = await bundled(FILES, owner);
    const stranger = await bundled(FILES, await signer());
    const proof = prove(files["bundle.sig"] ?? "");

    const opening = openBundle(
      bytes(change(files["bundle.json"] ?? "")),
      bytes(proof === "stranger" ? (stranger.files["bundle.sig"] ?? "") : proof),
    );

    await expect(opening).rejects.toThrow("not as it was signed");
  });

  it("of another time is not read", async () => {
    const opening = openBundle(bytes('{"schema": 2}'), bytes("{}"));

    await expect(opening).rejects.toThrow("has schema 2");
  });
});

describe("the files of a bundle", () => {
  let host: Host;
  let fetcher: Fetcher;

  beforeEach(async () => {
    const { files } = await bundled(FILES, owner);
    host = new Host(BASE);
    host.files = files;
    fetcher = new Fetcher(BASE, comparing(host));
    const list = bytes(files["bundle.json"] ?? "");
    fetcher.trust((await openBundle(list, bytes(files["bundle.sig"] ?? ""))).index.files);
  });

  it("are taken when they have their hash, also by libraries that know nothing of it", async () => {
    const plain = await fetcher.fetch(new URL("page.js", BASE));

    expect(await plain.text()).toBe("export {}");
    expect(new TextDecoder().decode(await fetcher.bytes("page.js"))).toBe("export {}");
    expect(fetcher.refusal).toBeNull();
  });

  it("are refused by name when they have another", async () => {
    host.files = { ...host.files, "page.js": "evil()" };

    await expect(fetcher.fetch("page.js")).rejects.toThrow(
      "page.js is not the file that was bundled",
    );

    expect(fetcher.refusal?.message).toContain("page.js");
  });

  it("are fetched afresh when what was kept of them has decayed", async () => {
    host.spoilt["page.js"] = async () => {
      if (host.asked.length > 1) delete host.spoilt["page.js"];
      return new Response("expo");
    };

    expect(new TextDecoder().decode(await fetcher.bytes("page.js"))).toBe("export {}");
  });

  it("are asked for three times where the host stumbles", async () => {
    host.spoilt["page.js"] = async () => {
      if (host.asked.length > 1) delete host.spoilt["page.js"];
      return new Response("", { status: 503 });
    };

    expect((await fetcher.bytes("page.js")).length).toBe(9);

    expect(host.asked).toEqual(["page.js", "page.js", "page.js"]);
  });

  it("are asked for three times where the line is cut in the middle, also without a hash", async () => {
    const { "bundle.json": list } = host.files;
    host.spoilt["bundle.json"] = async () => {
      if (host.asked.length > 1) delete host.spoilt["bundle.json"];
      return halfOf(list ?? "");
    };

    expect(new TextDecoder().decode(await fetcher.bytes("bundle.json"))).toBe(list);

    expect(host.asked).toEqual(["bundle.json", "bundle.json", "bundle.json"]);
    expect(fetcher.refusal).toBeNull();
  });

  it("are named when all that comes of them is a half", async () => {
    host.spoilt["bundle.json"] = async () => halfOf("{}");

    await expect(fetcher.bytes("bundle.json")).rejects.toThrow(
      "bundle.json could not be fetched: it ended in the middle.",
    );

    expect(fetcher.refusal?.message).toContain("bundle.json");
  });

  it("are not asked for again where they are missing", async () => {
    const { "page.js": _, ...others } = host.files;
    host.files = others;

    await expect(fetcher.bytes("page.js")).rejects.toThrow("the server answered 404");

    expect(host.asked).toEqual(["page.js"]);
  });

  it("are fetched once when they are on their way already", async () => {
    fetcher.ahead("page.js", "no such file");

    expect((await fetcher.bytes("page.js")).length).toBe(9);

    expect(host.asked).toEqual(["page.js"]);
  });

  it("are all that is looked at: other addresses and other methods are left as they are", async () => {
    const posted = await fetcher.fetch(new URL("page.js", BASE), { method: "POST", body: "x" });
    const other = await fetcher.fetch(new URL("v1/records", BASE));

    expect([posted.status, other.status]).toEqual([200, 404]);
  });
});

/** An answer whose line is cut. */
function halfOf(content: string): Response {
  let told = false;
  const body = new ReadableStream({
    pull(controller) {
      if (told) return controller.error(new TypeError("network error"));
      told = true;
      controller.enqueue(bytes(content.slice(0, content.length >> 1)));
    },
  });
  return new Response(body);
}

/** As a browser's fetch, which refuses a body that has not the hash it was told. */
function comparing(host: Host): typeof fetch {
  return async (input, init) => {
    const answer = await host.fetch(input instanceof Request ? input : new URL(input), init);
    if (!init?.integrity) return answer; // before its body is there
    const found = await sha256(new Uint8Array(await answer.clone().arrayBuffer()));
    const fits = init.integrity === integrityOf({ sha256: found, size: 0, extra: {} });
    if (answer.ok && !fits) throw new TypeError("Failed to fetch");
    return answer;
  };
}
