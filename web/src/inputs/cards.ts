/** The card that fits a model's input; each kind's module is fetched when it is needed. */

import type { Card, Context } from "./card";
import { type Kind, kindOf } from "./kinds";

const MODULES: Readonly<Record<Kind, () => Promise<{ card(context: Context): Card }>>> = {
  drawing: () => import("./drawing"),
  picture: () => import("./picture"),
  sound: () => import("./sound"),
  series: () => import("./series"),
  table: () => import("./table"),
  other: () => import("./other"),
};

export async function cardOf(context: Context): Promise<Card> {
  const { spec, signature } = context;
  const alone = signature.inputs.length === 1;
  const { card } = await MODULES[alone ? kindOf(spec, signature.labels) : "other"]();
  return card(context);
}
