/** Compiled, never run: the types that people get are those of the module, and a page uses them. */

import type * as Written from "../sanderling.d.ts";
import type * as Real from "../src/sanderling";

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
type Shared = keyof typeof Real & keyof typeof Written;

// each is an error where one of the two types does not fit the other
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
  true satisfies Same<Real.EdgeError, Written.EdgeError>,
  true satisfies Same<keyof Real.SanderlingModel, keyof Written.SanderlingModel>,
];
export type Exported = Shared;

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
