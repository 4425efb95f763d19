/** Joins the cards: what a person gives is asked, the answer shown, explained and judged. */

import type { Tensors } from "../contract";
import type { Card } from "../inputs/card";
import { cardOf } from "../inputs/cards";
import type { Prediction } from "../messages";
import type { OpenedModel } from "../model";
import { EdgeError } from "../read";
import { AnswerCard, spoken } from "./answer";
import { BatchCard } from "./batch_card";
import { BenchmarkCard } from "./benchmark";
import { element } from "./dom";
import { ExampleRow } from "./examples";
import { Explanation } from "./explanation";
import { Feedback } from "./feedback";
import { say, showFailure } from "./state";
import { unlike } from "./unlike";

export class Room {
  readonly #answer: AnswerCard;
  readonly #explanation: Explanation;
  readonly #feedback: Feedback;
  readonly #examples: ExampleRow;
  #card: Card | null = null;
  #round = 0; // an answer to what was cleared meanwhile is not shown
  // while the engine is busy only the newest input waits: older ones are of no interest
  #busy = false;
  #pending: { readonly inputs: Tensors; readonly settled: boolean } | null = null;

  static async open(model: OpenedModel): Promise<Room> {
    const room = new Room(model);
    await room.#openCard();
    return room;
  }

  private constructor(private readonly model: OpenedModel) {
    const { manifest, profile, golden } = model.started;
    const { signature, abstention, name } = manifest;
    const ask = (inputs: Tensors) => model.predictBatch(inputs, false);
    this.#answer = new AnswerCard(element("answer"), signature, abstention);
    this.#explanation = new Explanation(signature, profile, ask);
    const tell = (predicted: string, actual: string) => {
      model.client.ask("feedback", { predicted, actual }).catch(showFailure);
    };
    this.#feedback = new Feedback(manifest, tell, say);
    this.#answer.actions.append(this.#explanation.button, this.#feedback.button);
    const { place, list } = this.#feedback;
    element("answer").append(place, this.#explanation.place, list);
    this.#examples = new ExampleRow(element("example-row"), signature, golden, (example) => {
      this.#showExample(example);
    });
    element("examples").hidden = this.#examples.empty;
    const time = async (runs: number) => (await model.client.ask("time", { runs })).ms;
    new BenchmarkCard(element("benchmark"), name, () => model.engine, time, say);
  }

  async #openCard(): Promise<void> {
    const { manifest, profile } = this.model.started;
    const { signature } = manifest;
    const [spec] = signature.inputs;
    if (!spec) throw new EdgeError(`${manifest.name} takes no input.`, "Pack another model.");
    const card = await cardOf({
      ...{ spec, signature, profile, place: element("input") },
      give: (inputs, settled) => {
        this.#examples.clear();
        void this.#ask(inputs, settled);
      },
      cleared: () => this.#clear(),
    });
    this.#card = card;
    if (!card.files) return;
    const ask = (inputs: Tensors) => this.model.predictBatch(inputs);
    new BatchCard(element("batch"), manifest, profile, card, ask, say);
    element("batch").hidden = false;
  }

  #showExample(example: Tensors): void {
    this.#card?.show(example);
    void this.#ask(example, true);
    element("answer").scrollIntoView({ block: "nearest" }); // on a phone it is above the examples
  }

  async #ask(inputs: Tensors, settled: boolean): Promise<void> {
    if (this.#busy) {
      this.#pending = { inputs, settled };
      return;
    }
    this.#busy = true;
    const asked = this.#round;
    try {
      const prediction = await this.model.predictBatch(inputs, settled);
      if (asked === this.#round) this.#show(inputs, prediction, settled);
      showFailure(null);
    } catch (error) {
      showFailure(error);
    }
    this.#busy = false;
    const next = this.#pending;
    this.#pending = null;
    if (next) await this.#ask(next.inputs, next.settled);
  }

  #show(inputs: Tensors, prediction: Prediction, settled: boolean): void {
    const { manifest, profile } = this.model.started;
    const { signature, abstention } = manifest;
    this.#answer.show(prediction, unlike(signature, profile, inputs, 0, abstention));
    this.#explanation.about(inputs);
    this.#feedback.about(inputs, prediction);
    if (settled) say(spoken(prediction, signature)); // not each stroke
  }

  #clear(): void {
    this.#round += 1;
    this.#pending = null;
    this.#answer.clear();
    this.#explanation.about(null);
    this.#feedback.about(null, null);
    this.#examples.clear();
  }
}
