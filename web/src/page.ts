/**
 * The demo page: a person gives an input, the worker answers, the answer is shown.
 *
 * `window.sanderling` is for programs that drive the page, such as our tests:
 *   first     resolves to { name, version, difference } once the engine answers;
 *   ready     resolves to the same once Python answers too, or the bundle has none; rejects when
 *             the model or Python did not start;
 *   predict   takes { NAME: { shape, data } }, a batch of any size, counts it, and gives
 *             { label, confidence, answers, outputs, latency_ms, by }; label and confidence are the
 *             first item's, `answers` has one of each an item;
 *   unlike    takes the same and gives, for each item, what of it training did not see;
 *   flush     ends the telemetry window and sends it; { sent, left }, both 0 without consent.
 */

import { findFastest, openFastest } from "./choosing";
import type { Tensors } from "./contract";
import type { OpenedModel } from "./model";
import { AboutCard } from "./page/about";
import { element } from "./page/dom";
import { Room } from "./page/room";
import { Sharing } from "./page/sharing";
import { say, showFailure, showStage, showStartFailure, showUpdate } from "./page/state";
import { unlike } from "./page/unlike";
import { EdgeError } from "./read";
import type { Flushed } from "./telemetry";
import { forget, keepOffline, type UpdateState } from "./updates";

element("refused").remove();
for (const event of ["dragover", "drop"]) {
  // beside the cards that take files: else the browser leaves the page and opens the file
  addEventListener(event, (dropped) => dropped.preventDefault());
}

const base = new URL(".", location.href);
const CHECK_MS = 3_600_000; // a page may stay open for days

interface Open {
  readonly model: OpenedModel;
  readonly about: AboutCard;
  readonly sharing: Sharing;
}

async function open(): Promise<Open> {
  const model = await openFastest(base, { onStage: showStage });
  const { started } = model;
  const { manifest, bundle } = started;
  element("model").textContent = manifest.name;
  element("version").textContent = `version ${manifest.version}`;
  document.title = `${manifest.name} · Sanderling`;
  const about = new AboutCard(element("about"), started);
  await Room.open(model);
  const lite = bundle.python === null;
  element("stage-python").hidden = lite;
  const sharing = new Sharing(model, base, bundle.telemetry);
  for (const ghost of document.querySelectorAll(".ghost")) ghost.remove();
  for (const id of ["input", "answer", "about", "benchmark"]) element(id).hidden = false;
  element("sharing").hidden = lite; // Python counts
  await sharing.open();
  return { model, about, sharing };
}

async function withPython(): Promise<OpenedModel> {
  const { model, about } = await opened;
  const { ready, why } = await model.client.ask("python", {});
  const wanted = model.started.bundle.python !== null;
  about.named(ready);
  if (wanted && !ready)
    throw new EdgeError(`Python did not start: ${why}`, "The page answers without it.");
  return model;
}

async function predict(inputs: Tensors) {
  await settled;
  const { model } = await opened;
  const { answers, outputs, latencyMs, by } = await model.predictBatch(inputs);
  const plain = Object.entries(outputs).map(([name, { shape, data }]) => [
    name,
    { shape, data: Array.from(data) }, // typed arrays do not survive JSON
  ]);
  const first = { ...answers[0], answers, outputs: Object.fromEntries(plain) };
  return { ...first, latency_ms: latencyMs, by };
}

async function unlikeTraining(inputs: Tensors) {
  const { manifest, profile } = (await opened).model.started;
  const count = Object.values(inputs)[0]?.shape[0] ?? 0;
  return Array.from({ length: count }, (_, index) =>
    unlike(manifest.signature, profile, inputs, index, manifest.abstention),
  );
}

async function flush(): Promise<Flushed> {
  await settled;
  return (await opened).sharing.flush();
}

/** Keeps what runs here for use without its host, and goes on looking for a newer one. */
async function keep({ model, about }: Open): Promise<void> {
  const show = (state: UpdateState) => {
    showUpdate(state);
    about.kept(state.offline, remove);
  };
  const check = () => keepOffline(base, show, model.started.digest);
  const remove = async () => {
    clearInterval(timer);
    try {
      await forget(base);
    } catch (error) {
      return showFailure(error);
    }
    show({
      state: "unavailable",
      offline: false,
      share: 0,
      message: "The offline copy was removed; the next visit keeps one again.",
    });
  };
  const timer = setInterval(check, CHECK_MS);
  await check();
}

function facts({ started }: OpenedModel) {
  const { manifest, difference } = started;
  return { name: manifest.name, version: manifest.version, difference };
}

const opened = open();
opened.catch(showStartFailure);
const python = withPython();
const settled = python.then(
  () => {},
  () => {},
);
const first = opened.then(({ model }) => facts(model));
const ready = python.then(facts);
ready.then(({ name }) => say(`${name} is ready.`)).catch(() => {});
first.catch(() => {}); // told above
ready.catch((error: unknown) => {
  void opened.then(
    () => {
      showFailure(error);
      element("stage-python").className = "failed";
      element("stage-python").textContent = "Python not started";
    },
    () => {},
  );
});
void settled
  .then(() => opened)
  .then(
    async (all) => {
      await keep(all);
      await findFastest(all.model, base);
    },
    () => {}, // what did not start is not kept
  );
Object.assign(window, { sanderling: { first, ready, predict, unlike: unlikeTraining, flush } });
