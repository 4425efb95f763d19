/** A model in your own page: `const model = await load("digits/"); await model.predict(input)`. */

import { type Model, openModel } from "./model";

export type { Answer, EngineFacts, Prediction, Trust } from "./messages";
export type { Answered, Input, Model } from "./model";
export { EdgeError } from "./read";

/** Opens a bundle by its folder's address, from this page's; resolves when its engine answers. */
export async function load(
  url: string | URL,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Model> {
  return openModel(folder(url), options);
}

/** `digits`, `digits/` and `digits/index.html` are one bundle. */
function folder(url: string | URL): URL {
  const address = new URL(url, document.baseURI);
  const last = address.pathname.split("/").at(-1) ?? "";
  if (!last.includes(".") && !address.pathname.endsWith("/")) address.pathname += "/";
  return new URL(".", address);
}
