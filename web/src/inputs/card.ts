/** What the page and the card of an input know of each other. */

import type { Profile, Signature, TensorSpec, Tensors } from "../contract";

/** One item of a batch: a file, or a row of one. */
export interface Item {
  readonly name: string;
  readonly inputs: Tensors; // empty when there is a problem
  readonly problem?: string; // why this one cannot be asked
}

export interface Context {
  readonly spec: TensorSpec;
  readonly signature: Signature;
  readonly profile: Profile | null; // what the model was made on; null when nobody knows
  readonly place: HTMLElement; // an empty section; the card fills it
  /** `settled` is false for what is still being made: a drawing, a camera's view. */
  readonly give: (inputs: Tensors, settled: boolean) => void;
  readonly cleared: () => void;
}

export interface Card {
  /** An example was chosen: show it where a person would have given it. */
  show(example: Tensors): void;
  clear(): void;
  /** What dropped files hold. Bad ones become items with a problem. */
  readonly files?: (files: readonly File[]) => Promise<readonly Item[]>;
  readonly accept?: string; // of an <input type="file"> for `files`
}
