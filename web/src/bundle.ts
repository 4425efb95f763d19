/**
 * What a bundle holds, as `bundle.json` lists it: every file's hash, and who signed the list. The
 * signature is checked where the browser can; where it cannot, the page goes on and says so.
 */

import { type FileFact, readFileFact } from "./contract";
import { EdgeError, integer, list, map, object, parse, text } from "./read";

export interface Telemetry {
  readonly url: string; // from the bundle's folder, or of another host
  readonly token: string; // empty where the collector asks for none
  readonly notice: string; // what the visitor is told; empty for our own words
}

/** The Python of a bundle. */
export interface PythonFacts {
  readonly version: string;
  readonly after: string; // `module:function` that has the last word on answers; may be empty
  readonly packages: readonly string[]; // wheels by the name of their distribution
}

export interface BundleIndex {
  readonly model: string;
  readonly version: string;
  readonly sanderling: string;
  readonly engine: "ort" | "litert";
  readonly accelerate: boolean; // whether faster engines are there to be tried
  readonly python: PythonFacts | null;
  readonly telemetry: Telemetry;
  readonly key: string; // ed25519, 32 bytes in base64
  readonly licences: string;
  readonly files: ReadonlyMap<string, FileFact>;
}

export function readBundle(value: unknown): BundleIndex {
  const fields = object(value, "bundle");
  if (integer(fields.schema, "bundle.schema") !== 1) {
    throw new EdgeError(
      `bundle.json has schema ${fields.schema}; this page reads 1.`,
      "Reload the page.",
    );
  }
  const word = (name: string) => text(fields[name], `bundle.${name}`);
  const engine = word("engine");
  if (engine !== "ort" && engine !== "litert") throw new EdgeError(`No engine is named ${engine}.`);
  return {
    model: word("model"),
    version: word("version"),
    sanderling: word("sanderling"),
    engine,
    accelerate: fields.accelerate === true,
    python: fields.python === null ? null : readPython(fields.python),
    telemetry: readTelemetry(fields.telemetry),
    key: word("key"),
    licences: word("licences"),
    files: map(readFileFact)(fields.files, "bundle.files"),
  };
}

function readPython(value: unknown): PythonFacts {
  const fields = object(value, "bundle.python");
  return {
    version: text(fields.version, "bundle.python.version"),
    after: text(fields.after, "bundle.python.after"),
    packages: list(text)(fields.packages, "bundle.python.packages"),
  };
}

function readTelemetry(value: unknown): Telemetry {
  const fields = object(value, "bundle.telemetry");
  const word = (name: string) => text(fields[name], `bundle.telemetry.${name}`);
  return { url: word("url"), token: word("token"), notice: word("notice") };
}

/** A checked index; `digest` names this very bundle, and is empty where nothing can be hashed. */
export interface OpenedBundle {
  readonly index: BundleIndex;
  readonly digest: string;
  readonly signed: boolean;
  readonly note: string; // why the signature was not checked
}

/** The index in the bytes of `bundle.json`, signed as `bundle.sig` says. */
export async function openBundle(
  bytes: Uint8Array<ArrayBuffer>,
  proof: Uint8Array<ArrayBuffer>,
): Promise<OpenedBundle> {
  const index = readBundle(parse(bytes, "bundle.json"));
  const digest = await sha256(bytes);
  const note = await checkSignature(index, bytes, proof);
  return { index, digest, signed: note === "", note };
}

/** Lower-case hexadecimal; empty on an address that is not secure, where no browser hashes. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (!globalThis.crypto?.subtle) return "";
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

/** Why it could not be checked; nothing when the signature fits. A wrong one is refused. */
async function checkSignature(
  index: BundleIndex,
  bytes: Uint8Array<ArrayBuffer>,
  proof: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const claim = object(parse(proof, "bundle.sig"), "bundle.sig");
  const signature = base64(text(claim.signature, "bundle.sig.signature"));
  const raw = base64(index.key);
  if (!globalThis.crypto?.subtle) {
    return "The signature was not checked: browsers do so on secure addresses only (https).";
  }
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  } catch {
    return "The signature was not checked: this browser knows no Ed25519.";
  }
  const named = (await sha256(raw)).slice(0, 16) === claim.key_id;
  if (!named || !(await crypto.subtle.verify("Ed25519", key, signature, bytes))) {
    throw new EdgeError(
      "bundle.json is not as it was signed.",
      "Copy the bundle again, or make it again with `sanderling bundle`.",
    );
  }
  return "";
}

function base64(coded: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(coded), (character) => character.charCodeAt(0));
  } catch {
    throw new EdgeError("bundle.json is damaged: a key or signature is not base64.");
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
