/** A model whose input nobody can give by hand: its examples are all there is to ask. */

import type { Card, Context } from "./card";
import { heading, make } from "./dom";

export function card({ signature, place }: Context): Card {
  const inputs = signature.inputs.map(({ name, shape, meaning, unit }) => {
    const sizes = shape.slice(1).map((size) => (size < 0 ? "any" : String(size)));
    const told = [sizes.join(" × ") + (sizes.length === 1 ? " numbers" : ""), meaning, unit];
    const words = told.filter((word) => word !== "").join(", ");
    return make("li", {}, make("strong", { textContent: name }), `: ${words}`);
  });
  const several = inputs.length > 1;
  const why = several
    ? `This model takes ${inputs.length} inputs at once, which this page cannot ask for:`
    : "This model takes numbers that this page has no form for:";
  place.replaceChildren(
    heading(place, several ? "Inputs" : "Input"),
    make("p", { textContent: why }),
    make("ul", { className: "input-list" }, ...inputs),
    make("p", {
      className: "quiet",
      textContent: "Choose one of the examples, or ask the model from a page of your own.",
    }),
  );
  return { show: () => {}, clear: () => {} };
}
