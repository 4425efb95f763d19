/** Compiled, never run: the types that people get are those of the module, and a page uses them. */

import type * as Written from "../sanderling.d.ts";
import type * as Contract from "../src/contract";
import type * as Real from "../src/sanderling";
import type * as Telemetry from "../src/telemetry";

/** Members, their optionality and all below them; what only fits, as without an optional field, is not the same. */
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : never;
/** A class without its private parts, by which any two differ. */
type Open<T> = Pick<T, keyof T>;

// each is an error where the two types differ
export const same: readonly true[] = [
  true satisfies Same<keyof typeof Real, keyof typeof Written>,
  true satisfies Same<Parameters<typeof Real.load>, Parameters<typeof Written.load>>,
  true satisfies Same<Real.Model, Written.Model>,
  true satisfies Same<Real.Answer, Written.Answer>,
  true satisfies Same<Real.Answered, Written.Answered>,
  true satisfies Same<Real.Input, Written.Input>,
  true satisfies Same<Real.Prediction, Written.Prediction>,
  true satisfies Same<Real.EngineFacts, Written.EngineFacts>,
  true satisfies Same<Real.Trust, Written.Trust>,
  true satisfies Same<Contract.Tensor, Written.Tensor>,
  true satisfies Same<Contract.Tensors, Written.Tensors>,
  true satisfies Same<Contract.TensorSpec, Written.TensorSpec>,
  true satisfies Same<Contract.Signature, Written.Signature>,
  true satisfies Same<Telemetry.Flushed, Written.Flushed>,
  true satisfies Same<Open<Real.EdgeError>, Open<Written.EdgeError>>,
  true satisfies Same<Open<Real.SanderlingModel>, Open<Written.SanderlingModel>>,
  true satisfies Same<ReturnType<typeof Real.load>, ReturnType<typeof Written.load>>,
];

/** What the documentation shows. */
export async function page(module: typeof Written): Promise<string> {
  const model = await module.load("digits/", { signal: new AbortController().signal });
  const answer = await model.predict({ "petal length": 4.9, "petal width": null });
  const place = document.createElement("sanderling-model");
  place.src = "digits/";
  place.addEventListener("sanderling-answer", ({ detail }) => detail.confidence?.toFixed(2));
  place.addEventListener("sanderling-error", ({ detail }) => detail.hint.trim());
  const batch = await model.predictBatch({ image: { shape: [1, 2], data: new Float32Array(2) } });
  // @ts-expect-error: an answer is read, not written
  answer.label = "mine";
  return answer.label ?? String(batch.outputs.y?.data[0]);
}
