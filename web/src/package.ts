/** The package beside the page: fetched, and believed only after its hashes have been compared. */

import { sha256 } from "./bundle";
import {
  type FileFact,
  type Golden,
  type Manifest,
  type Profile,
  readGolden,
  readManifest,
  readProfile,
  type Tensors,
} from "./contract";
import { AGAIN, type Fetcher } from "./integrity";
import { EdgeError, parse } from "./read";

// what every package brings, and a model of either format
const MEMBERS = ["manifest.json", "golden.json", "profile.json", "model.tflite", "model.onnx"];

export interface Package {
  readonly manifest: Manifest;
  readonly golden: Golden;
  readonly profile: Profile;
  readonly model: Uint8Array<ArrayBuffer>;
  readonly manifestText: string;
  readonly profileText: string;
}

export async function fetchPackage(fetcher: Fetcher): Promise<Package> {
  fetcher.ahead(...MEMBERS.map((name) => `package/${name}`));
  const manifestBytes = await fetcher.bytes("package/manifest.json");
  const manifest = readManifest(parse(manifestBytes, "manifest.json"));
  const fetchMember = async (name: string) => {
    const bytes = await fetcher.bytes(`package/${name}`);
    await verify(name, bytes, manifest.files);
    return bytes;
  };
  const [model, golden, profile] = await Promise.all([
    fetchMember(manifest.model),
    fetchMember("golden.json"),
    fetchMember("profile.json"),
  ]);
  return {
    manifest,
    golden: readGolden(parse(golden, "golden.json")),
    profile: readProfile(parse(profile, "profile.json")),
    model,
    manifestText: decode(manifestBytes),
    profileText: decode(profile),
  };
}

/** The browser has compared the bytes with the bundle's list; this is the package's own. */
async function verify(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  files: ReadonlyMap<string, FileFact>,
): Promise<void> {
  const expected = files.get(name);
  if (!expected) throw new EdgeError(`The manifest does not name ${name}.`);
  const found = await sha256(bytes);
  if (found !== "" && found !== expected.sha256) {
    throw new EdgeError(
      `${name} is not the file that was packed: its sha256 differs from the manifest's.`,
      AGAIN,
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
