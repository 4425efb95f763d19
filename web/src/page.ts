/**
 * The demo page: a person gives an input, the worker answers, the answer is shown.
 *
 * `window.sanderling` is for programs that drive the page, such as our tests:
 *   ready     resolves to { name, version, difference } once the model answers;
 *   predict   takes { NAME: { shape, data } }, a batch of any size, counts it, and gives
 *             { label, confidence, answers, outputs, latency_ms }; label and confidence are the
 *             first item's, `answers` has one of each an item;
 *   flush     ends the telemetry window and sends it; { sent, left }, both 0 without consent.
 */

import { AnswerCard, element } from "./answer";
import { Client } from "./client";
import type { Tensors } from "./contract";
import { ExampleRow, inputCards } from "./inputs";
import type { Stage } from "./messages";
import { EdgeError } from "./read";
import { Sharing } from "./sharing";
import type { Flushed } from "./telemetry";

const base = new URL(".", location.href);
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const client = new Client(worker, showStage);
const sharing = new Sharing(client);

async function start() {
  const { manifest, golden, difference } = await client.ask("start", { base: base.href, engine: null });
  const { name, version, signature } = manifest;
  element("model").textContent = name;
  element("version").textContent = `version ${version}`;
  document.title = `${name} · Sanderling`;
  const card = new AnswerCard(signature);
  let round = 0; // an answer to what was cleared meanwhile is not shown
  const clear = () => {
    round += 1;
    pending = null;
    card.clear();
    examples.clear();
  };

  // while the engine is busy only the newest preview waits: older ones are of no interest
  let busy = false;
  let pending: { inputs: Tensors; counted: boolean } | null = null;
  const classify = async (inputs: Tensors, counted: boolean) => {
    if (busy) {
      pending = { inputs, counted };
      return;
    }
    busy = true;
    const asked = round;
    try {
      const answer = await client.ask("predict", { inputs, count: counted });
      if (asked === round) card.show(answer);
      showFailure(null);
    } catch (error) {
      showFailure(error);
    }
    busy = false;
    const next = pending;
    pending = null;
    if (next) await classify(next.inputs, next.counted);
  };

  const cards = inputCards(
    signature,
    (inputs, counted) => {
      examples.clear();
      void classify(inputs, counted);
    },
    clear,
  );
  const examples = new ExampleRow(signature, golden, (example) => {
    cards.show(example);
    void classify(example, true);
    element("answer").scrollIntoView({ block: "nearest" }); // on a phone it is above the examples
  });
  element("answer").hidden = false;
  element("sharing").hidden = false;
  await sharing.open();
  await client.ask("python", {});
  return { name, version, difference };
}

async function predict(inputs: Tensors) {
  await ready;
  const { answers, outputs, latencyMs } = await client.ask("predict", { inputs, count: true });
  const plain = Object.entries(outputs).map(([name, { shape, data }]) => [
    name,
    { shape, data: Array.from(data) }, // typed arrays do not survive JSON
  ]);
  return { ...answers[0], answers, outputs: Object.fromEntries(plain), latency_ms: latencyMs };
}

async function flush(): Promise<Flushed> {
  await ready;
  return sharing.flush();
}

function showStage(stage: Stage, ms: number): void {
  const chip = element(`stage-${stage}`);
  chip.textContent = chip.textContent.replace("starting", "ready");
  chip.title = `after ${(ms / 1000).toFixed(1)} s`;
  chip.className = "ready";
}

function showFailure(error: unknown): void {
  element("failure").hidden = error === null;
  element("failure-message").textContent = error instanceof Error ? error.message : String(error);
  element("failure-hint").textContent = error instanceof EdgeError ? error.hint : "";
}

function showStartFailure(error: unknown): void {
  showFailure(error);
  element("version").textContent = "not loaded";
  for (const chip of document.querySelectorAll(".stages li:not(.ready)")) {
    chip.className = "failed";
    chip.textContent = chip.textContent.replace("starting", "not started");
  }
}

const ready = start();
ready.catch(showStartFailure);
Object.assign(window, { sanderling: { ready, predict, flush } });
