import { describe, expect, test } from "vitest";
import golden from "../../tests/golden/golden.json";
import manifest from "../../tests/golden/manifest.json";
import profile from "../../tests/golden/profile.json";
import record from "../../tests/golden/record.json";
import signature from "../../tests/golden/signature.json";
import {
  readAcknowledgement,
  readGolden,
  readManifest,
  readProfile,
  readRecord,
  readSignature,
  SCHEMA,
  toJson,
} from "../src/contract";
import { WireError } from "../src/read";

const nouns: [string, unknown, (value: unknown) => object, typeof SCHEMA | undefined][] = [
  ["signature", signature, readSignature, undefined],
  ["manifest", manifest, readManifest, SCHEMA],
  ["profile", profile, readProfile, SCHEMA],
  ["record", record, readRecord, SCHEMA],
  ["golden", golden, readGolden, SCHEMA],
];

describe.each(nouns)("a %s", (_, json, read, schema) => {
  test("comes back as it was, with what it does not know", () => {
    const noun = read(json);

    expect(noun).toHaveProperty("extra");
    expect(toJson(noun, schema)).toEqual(json);
  });

  test.each([null, 3, "text", [], undefined])("is not read from %j", (value) => {
    expect(() => read(value)).toThrow(/expected an object/);
  });
});

test.each(nouns.filter(([, , , schema]) => schema))(
  "a %s of another schema is refused",
  (_, json, read) => {
    expect(() => read({ ...(json as object), schema: 2 })).toThrow(/schema 2/);
  },
);

test("an error names the field that is wrong", () => {
  const broken = structuredClone(manifest) as Record<string, unknown>;
  broken.signature = { ...signature, labels: ["zero", 1] };

  expect(() => readManifest(broken)).toThrow(WireError);
  expect(() => readManifest(broken)).toThrow(
    "manifest.signature.labels[1]: expected text, found number.",
  );
});

test("a tensor holds as many values as its shape asks for", () => {
  const broken = { ...golden, inputs: { image: { shape: [2, 3], data: [1, 2, 3] } } };

  expect(() => readGolden(broken)).toThrow(
    "golden.inputs.image: shape [2,3] cannot hold 3 values.",
  );
});

test("a sketch has one count more than edges", () => {
  const broken = structuredClone(profile);
  broken.sketches.confidence.counts = [1];

  expect(() => readProfile(broken)).toThrow(/1 edges need 2 counts/);
});

test("a collector's answer is read, not believed", () => {
  expect(readAcknowledgement({ accepted: ["a", "b"], more: 1 })).toEqual(["a", "b"]);
  expect(() => readAcknowledgement({ accepted: "a" })).toThrow(/acknowledgement.accepted/);
});
