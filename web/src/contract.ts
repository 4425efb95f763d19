/**
 * What crosses the wire, as `edge_targets/runtime/contract.py` defines it. The outside is unknown
 * until read: every `read…` takes what JSON.parse gave and either returns the noun or throws a
 * `WireError` that names the field. What a noun does not know it keeps in `extra`.
 */

import {
  type Fields,
  integer,
  list,
  map,
  number,
  numbers,
  object,
  others,
  text,
  WireError,
} from "./read";

export const SCHEMA = 1;

export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[]; // -1 is free: the batch
  readonly dtype: string; // numpy's name
  readonly meaning: string;
  readonly unit: string;
  readonly columns: readonly string[];
  readonly extra: Fields;
}

export interface Signature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly labels: readonly string[];
  readonly extra: Fields;
}

export interface FileFact {
  readonly sha256: string;
  readonly size: number; // bytes
  readonly extra: Fields;
}

/** Below which confidence a classifier does not answer, and what that was chosen to reach. */
export interface Abstention {
  readonly threshold: number; // an answer whose largest share is smaller is no answer
  readonly risk: number; // share of wrong ones among the answered, at most
  readonly certainty: number; // probability that this holds
  readonly coverage: number; // share of the held-out items that were answered
  readonly items: number; // held-out items it was chosen on
  readonly extra: Fields;
}

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly target: string;
  readonly format: string;
  readonly model: string; // file name inside the package
  readonly signature: Signature;
  readonly tolerance: number; // of a replayed golden output: share of its spread
  readonly files: ReadonlyMap<string, FileFact>;
  readonly lineage: string;
  readonly abstention: Abstention | null; // null where it always answers
  readonly extra: Fields;
}

export interface Sketch {
  readonly edges: readonly number[]; // ascending; k edges make k + 1 bins
  readonly counts: readonly number[];
  readonly nulls: number;
  readonly minimum: number | null; // null when no value was finite
  readonly maximum: number | null;
  readonly total: number;
  readonly squares: number;
}

export interface Profile {
  readonly samples: number;
  readonly sketches: ReadonlyMap<string, Sketch>;
  readonly extra: Fields;
}

export interface TelemetryRecord {
  readonly id: string;
  readonly device: string;
  readonly model: string;
  readonly version: string;
  readonly started: string; // ISO 8601, UTC
  readonly ended: string;
  readonly samples: number;
  readonly sketches: ReadonlyMap<string, Sketch>;
  readonly latency_ms: Sketch;
  readonly confusions: Confusions;
  readonly extra: Fields;
}

/** By the label that was predicted, how often people said it is which other one. */
export type Confusions = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** Numbers with a shape, row-major. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

export type Tensors = Readonly<Record<string, Tensor>>;

export interface Golden {
  readonly inputs: Tensors;
  readonly outputs: Tensors;
  readonly extra: Fields;
}

export function readTensorSpec(value: unknown, where = "tensor"): TensorSpec {
  const fields = object(value, where);
  return {
    name: text(fields.name, `${where}.name`),
    shape: list(integer)(fields.shape, `${where}.shape`),
    dtype: text(fields.dtype ?? "float32", `${where}.dtype`),
    meaning: text(fields.meaning ?? "", `${where}.meaning`),
    unit: text(fields.unit ?? "", `${where}.unit`),
    columns: list(text)(fields.columns ?? [], `${where}.columns`),
    extra: others(fields, ["name", "shape", "dtype", "meaning", "unit", "columns"]),
  };
}

export function readSignature(value: unknown, where = "signature"): Signature {
  const fields = object(value, where);
  return {
    inputs: list(readTensorSpec)(fields.inputs, `${where}.inputs`),
    outputs: list(readTensorSpec)(fields.outputs, `${where}.outputs`),
    labels: list(text)(fields.labels ?? [], `${where}.labels`),
    extra: others(fields, ["inputs", "outputs", "labels"]),
  };
}

export function readAbstention(value: unknown, where = "abstention"): Abstention {
  const fields = object(value, where);
  return {
    threshold: number(fields.threshold, `${where}.threshold`),
    risk: number(fields.risk, `${where}.risk`),
    certainty: number(fields.certainty, `${where}.certainty`),
    coverage: number(fields.coverage, `${where}.coverage`),
    items: integer(fields.items, `${where}.items`),
    extra: others(fields, ["threshold", "risk", "certainty", "coverage", "items"]),
  };
}

export function readManifest(value: unknown): Manifest {
  const fields = versioned(value, "manifest");
  return {
    name: text(fields.name, "manifest.name"),
    version: text(fields.version, "manifest.version"),
    target: text(fields.target, "manifest.target"),
    format: text(fields.format, "manifest.format"),
    model: text(fields.model, "manifest.model"),
    signature: readSignature(fields.signature, "manifest.signature"),
    tolerance: number(fields.tolerance, "manifest.tolerance"),
    files: map(readFileFact)(fields.files, "manifest.files"),
    lineage: text(fields.lineage ?? "", "manifest.lineage"),
    abstention:
      (fields.abstention ?? null) === null
        ? null
        : readAbstention(fields.abstention, "manifest.abstention"),
    extra: others(fields, [
      ...["schema", "name", "version", "target", "format", "model"],
      ...["signature", "tolerance", "files", "lineage", "abstention"],
    ]),
  };
}

export function readProfile(value: unknown): Profile {
  const fields = versioned(value, "profile");
  return {
    samples: integer(fields.samples, "profile.samples"),
    sketches: map(readSketch)(fields.sketches, "profile.sketches"),
    extra: others(fields, ["schema", "samples", "sketches"]),
  };
}

export function readRecord(value: unknown): TelemetryRecord {
  const fields = versioned(value, "record");
  const word = (name: string) => text(fields[name], `record.${name}`);
  return {
    id: word("id"),
    device: word("device"),
    model: word("model"),
    version: word("version"),
    started: word("started"),
    ended: word("ended"),
    samples: integer(fields.samples, "record.samples"),
    sketches: map(readSketch)(fields.sketches, "record.sketches"),
    latency_ms: readSketch(fields.latency_ms, "record.latency_ms"),
    confusions: map(map(integer))(fields.confusions ?? {}, "record.confusions"),
    extra: others(fields, [
      ...["schema", "id", "device", "model", "version", "started", "ended"],
      ...["samples", "sketches", "latency_ms", "confusions"],
    ]),
  };
}

export function readGolden(value: unknown): Golden {
  const fields = versioned(value, "golden");
  return {
    inputs: Object.fromEntries(map(readTensor)(fields.inputs, "golden.inputs")),
    outputs: Object.fromEntries(map(readTensor)(fields.outputs, "golden.outputs")),
    extra: others(fields, ["schema", "inputs", "outputs"]),
  };
}

/** What a collector answers: the ids it has made durable. */
export function readAcknowledgement(value: unknown): readonly string[] {
  return list(text)(object(value, "acknowledgement").accepted, "acknowledgement.accepted");
}

/** A noun as JSON again, with the fields that were not known; `schema` for the versioned ones. */
export function toJson(noun: object, schema?: typeof SCHEMA): unknown {
  const head = schema === undefined ? {} : { schema };
  return { ...head, ...(plain(noun) as Fields) };
}

export function readTensor(value: unknown, where: string): Tensor {
  const fields = object(value, where);
  const shape = list(integer)(fields.shape, `${where}.shape`);
  const data = numbers(fields.data, `${where}.data`);
  const size = shape.reduce((product, length) => product * length, 1);
  if (size !== data.length || shape.some((length) => length < 0)) {
    throw new WireError(`${where}: shape [${shape}] cannot hold ${data.length} values.`);
  }
  return { shape, data };
}

export function readSketch(value: unknown, where: string): Sketch {
  const fields = object(value, where);
  const edges = list(number)(fields.edges, `${where}.edges`);
  const counts = list(integer)(fields.counts, `${where}.counts`);
  if (counts.length !== edges.length + 1) {
    throw new WireError(`${where}: ${edges.length} edges need ${edges.length + 1} counts.`);
  }
  return {
    edges,
    counts,
    nulls: integer(fields.nulls, `${where}.nulls`),
    minimum: fields.minimum === null ? null : number(fields.minimum, `${where}.minimum`),
    maximum: fields.maximum === null ? null : number(fields.maximum, `${where}.maximum`),
    total: number(fields.total, `${where}.total`),
    squares: number(fields.squares, `${where}.squares`),
  };
}

export function readFileFact(value: unknown, where: string): FileFact {
  const fields = object(value, where);
  return {
    sha256: text(fields.sha256, `${where}.sha256`),
    size: integer(fields.size, `${where}.size`),
    extra: others(fields, ["sha256", "size"]),
  };
}

function versioned(value: unknown, where: string): Fields {
  const fields = object(value, where);
  if ((fields.schema ?? SCHEMA) !== SCHEMA) {
    throw new WireError(`${where} has schema ${fields.schema}; this page reads ${SCHEMA}.`);
  }
  return fields;
}

function plain(value: unknown): unknown {
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([name, item]) => [name, plain(item)]));
  }
  if (Array.isArray(value)) {
    return value.map(plain);
  }
  if (typeof value === "object" && value !== null) {
    const { extra, ...known } = value as Fields;
    const entries = Object.entries(known).map(([name, item]) => [name, plain(item)]);
    return { ...Object.fromEntries(entries), ...(extra as Fields | undefined) };
  }
  return value;
}
