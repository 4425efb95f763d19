/** The package beside the page: fetched, and believed only after its hashes have been compared. */

import { type Golden, type Manifest, readGolden, readManifest, type Tensors } from "./contract";
import { fetchBytes } from "./python";
import { EdgeError } from "./read";

export interface Package {
  readonly manifest: Manifest;
  readonly golden: Golden;
  readonly model: Uint8Array<ArrayBuffer>;
  readonly manifestText: string;
  readonly profileText: string;
}

/** `base` is the folder that holds `package/`. */
export async function fetchPackage(base: URL): Promise<Package> {
  const folder = new URL("package/", base);
  const manifestText = decode(await fetchBytes(new URL("manifest.json", folder)));
  const manifest = readManifest(parse(manifestText, "manifest.json"));
  if (manifest.format !== "onnx") {
    throw new EdgeError(
      `This page runs ONNX models; ${manifest.name} is ${manifest.format}.`,
      "Build the model with --format onnx and bundle that package.",
    );
  }
  const fetchMember = async (name: string) => {
    const bytes = await fetchBytes(new URL(name, folder));
    await verify(name, bytes, manifest);
    return bytes;
  };
  const [model, golden, profile] = await Promise.all(
    [manifest.model, "golden.json", "profile.json"].map(fetchMember),
  );
  if (!model || !golden || !profile) throw new EdgeError("The package is incomplete.");
  return {
    manifest,
    golden: readGolden(parse(decode(golden), "golden.json")),
    model,
    manifestText,
    profileText: decode(profile),
  };
}

async function verify(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  manifest: Manifest,
): Promise<void> {
  const expected = manifest.files.get(name);
  if (!expected) throw new EdgeError(`The manifest does not name ${name}.`);
  if (!globalThis.crypto?.subtle) {
    throw new EdgeError(
      "This browser only checks files on a secure address.",
      "Open the page over https, or on this machine as http://localhost.",
    );
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== expected.sha256) {
    throw new EdgeError(
      `${name} is not the file that was packed: its sha256 differs from the manifest's.`,
      "Copy the bundle again, or make it again with `sanderling bundle`.",
    );
  }
}

/** Largest difference, as a share of each expected output's spread; NaN when any value is NaN. */
export function largestDifference(outputs: Tensors, expected: Tensors): number {
  let worst = 0;
  for (const [name, { data }] of Object.entries(expected)) {
    const found = outputs[name]?.data ?? [];
    const unit = spread(data);
    for (let i = 0; i < data.length; i++) {
      const gap = Math.abs((found[i] ?? Number.NaN) - (data[i] ?? Number.NaN)) / unit;
      if (Number.isNaN(gap)) return gap;
      worst = Math.max(worst, gap);
    }
  }
  return worst;
}

const NARROWEST = 0.01; // of a value's size

/** What differences are measured in, as `spread` in edge_targets/runtime/predictor.py has it. */
export function spread(values: ArrayLike<number>): number {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    low = Math.min(low, values[i] ?? Number.NaN);
    high = Math.max(high, values[i] ?? Number.NaN);
  }
  return Math.max(high - low, NARROWEST * Math.max(Math.abs(low), Math.abs(high))) || 1;
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new EdgeError(`${name} is not JSON.`, "Make the bundle again with `sanderling bundle`.");
  }
}
