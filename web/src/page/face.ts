/** What a person sees of a model in somebody's page: its input card beside its answer. */

import type { Tensors } from "../contract";
import type { Context } from "../inputs/card";
import { cardOf } from "../inputs/cards";
import { integrityOf } from "../integrity";
import type { Prediction } from "../messages";
import type { OpenedModel } from "../model";
import { EdgeError } from "../read";
import { AnswerCard, spoken } from "./answer";
import { make } from "./dom";
import { unlike } from "./unlike";

export interface Face {
  show(inputs: Tensors, prediction: Prediction, settled: boolean): void;
  /** Where a person would have given it. */
  fill(inputs: Tensors): void;
  clear(): void;
  /** Words of an error; none take them away. */
  fail(words: string): void;
}

const PARTS = [
  ["verdict", "verdict"],
  ["sure", "confidence"],
  ["bars", "bars"],
] as const;

/** Takes the place of what `root` holds. */
export async function openFace(
  root: ShadowRoot,
  model: OpenedModel,
  base: URL,
  told: Pick<Context, "give" | "cleared">,
): Promise<Face> {
  const { manifest, profile } = model.started;
  const { signature, abstention } = manifest;
  const [spec] = signature.inputs;
  if (!spec) throw new EdgeError(`${manifest.name} takes no input.`, "Pack another model.");
  root.adoptedStyleSheets = [await sheetOf(model, base)];
  const input = make("section", { className: "card" });
  const place = make("section", { className: "card", id: "answer", ariaLabel: "Answer" });
  const problem = make("p", { className: "bad", role: "alert", hidden: true });
  const said = make("p", { className: "unseen", role: "status" });
  const answer = new AnswerCard(place, signature, abstention);
  const card = await cardOf({
    ...{ spec, signature, profile, place: input, give: told.give },
    cleared: () => {
      told.cleared();
      answer.clear();
    },
  });
  for (const [part, one] of Object.entries({ input, answer: place, error: problem })) {
    one.setAttribute("part", part);
  }
  for (const [id, part] of PARTS) place.querySelector(`#${id}`)?.setAttribute("part", part);
  root.replaceChildren(make("div", { className: "embedded" }, input, place), problem, said);
  return {
    show: (inputs, prediction, settled) => {
      answer.show(prediction, unlike(signature, profile, inputs, 0, abstention));
      if (settled) said.textContent = spoken(prediction, signature);
    },
    fill: (inputs) => card.show(inputs),
    clear: () => card.clear(),
    fail: (words) => {
      problem.textContent = words;
      problem.hidden = words === "";
    },
  };
}

const sheets = new Map<string, Promise<CSSStyleSheet>>(); // one for all elements of a bundle

function sheetOf({ started }: OpenedModel, base: URL): Promise<CSSStyleSheet> {
  const address = new URL("page.css", base);
  const known = sheets.get(address.href);
  if (known) return known;
  const integrity = integrityOf(started.bundle.files.get("page.css"));
  const reading = fetch(address, { credentials: "omit", integrity })
    .then((answer) => (answer.ok ? answer.text() : ""))
    .then((text) => new CSSStyleSheet().replace(text));
  sheets.set(address.href, reading);
  reading.catch(() => sheets.delete(address.href)); // the next element tries again
  return reading;
}
