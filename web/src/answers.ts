/**
 * What the model's numbers say, as `edge_targets/runtime/bridge.py` has it word for word: the first
 * answers come before Python has started, and Python's must be the same.
 */

import type { Manifest, Signature, Tensors } from "./contract";
import type { Answer } from "./messages";
import { EdgeError } from "./read";

/** One answer an item: label and confidence of a classifier, nothing else otherwise. */
export function named(manifest: Manifest, outputs: Tensors): Answer[] {
  const { signature, abstention } = manifest;
  const first = outputs[signature.outputs[0]?.name ?? ""];
  if (!first) throw new EdgeError("The model gave no output.");
  const [count = 0] = first.shape;
  const width = count > 0 ? first.data.length / count : 0;
  return Array.from({ length: count }, (_, item) => {
    if (signature.labels.length === 0) return {};
    const row = Array.from({ length: width }, (_, i) => first.data[item * width + i] ?? Number.NaN);
    const place = best(row);
    const confidence = row[place] ?? Number.NaN;
    const label = signature.labels[place];
    if (label === undefined) throw new EdgeError(`The model has no label ${place}.`);
    // written so that what is no number is abstained from
    const abstained = abstention !== null && !(confidence >= abstention.threshold);
    return { label, confidence, ...(abstained ? { abstained } : {}) };
  });
}

/** Index of the largest share; of equals the first. What is no number is larger than none. */
export function best(row: readonly number[]): number {
  let found = 0;
  row.forEach((value, index) => {
    if (value > (row[found] ?? Number.NaN)) found = index;
  });
  return found;
}

/** Refuses inputs that are missing, unknown, empty or of another shape than the model's. */
export function check(signature: Signature, inputs: Tensors): void {
  const wanted = signature.inputs.map(({ name }) => name);
  const given = Object.keys(inputs);
  if ([...wanted].sort().join("\0") !== [...given].sort().join("\0")) {
    throw new EdgeError(
      `The model takes ${wanted.join(", ")}; it was given ${given.join(", ") || "nothing"}.`,
      "Name every input as the model's metadata does.",
    );
  }
  for (const spec of signature.inputs) {
    const { shape = [], data = [] } = inputs[spec.name] ?? {};
    const fits =
      shape.length === spec.shape.length &&
      spec.shape.every(
        (size, axis) => size === shape[axis] || (size === -1 && (shape[axis] ?? 0) > 0),
      );
    if (!fits) {
      throw new EdgeError(
        `Input ${spec.name} has shape [${shape.join(", ")}]; ` +
          `the model takes [${spec.shape.join(", ")}].`,
        "-1 stands for the number of items.",
      );
    }
    const size = shape.reduce((product, length) => product * length, 1);
    if (data.length !== size) {
      throw new EdgeError(
        `Input ${spec.name} holds ${data.length} values; its shape needs ${size}.`,
      );
    }
  }
  if (new Set(wanted.map((name) => inputs[name]?.shape[0])).size > 1) {
    throw new EdgeError("The inputs hold different numbers of items.", "Send equal batches.");
  }
}
