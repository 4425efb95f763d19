/** A model in your own page: `const model = await load("digits/"); await model.predict(input)`. */

import { SanderlingModel } from "./element";
import { folder, type Model, openModel } from "./model";

export type { Answer, EngineFacts, Prediction, Trust } from "./messages";
export type { Answered, Input, Model } from "./model";
export { EdgeError } from "./read";
export { SanderlingModel };

/** Opens a bundle by its folder's address, from this page's; resolves when its engine answers. */
export async function load(
  url: string | URL,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Model> {
  return openModel(folder(url), options);
}

customElements.get("sanderling-model") ??
  customElements.define("sanderling-model", SanderlingModel);
