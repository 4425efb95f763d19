/** What the page tells about itself: how far it has started, what failed, whether it is kept. */

import type { Stage } from "../messages";
import { EdgeError } from "../read";
import type { UpdateState } from "../updates";
import { button, element } from "./dom";

let spoken: ReturnType<typeof setTimeout> | undefined;

/** For who listens instead of looking: one line at a time, the last of several that come at once. */
export function say(text: string): void {
  clearTimeout(spoken);
  spoken = setTimeout(() => {
    element("said").textContent = text;
  }, 100);
}

export function showStage(stage: Stage, ms: number): void {
  const chip = element(`stage-${stage}`);
  chip.textContent = stage === "engine" ? "Engine ready" : "Python ready";
  chip.title = `after ${(ms / 1000).toFixed(1)} s`;
  chip.className = "ready";
}

/** In words; null takes them away. */
export function showFailure(error: unknown): void {
  element("failure").hidden = error === null;
  element("failure-message").textContent = error instanceof Error ? error.message : String(error);
  element("failure-hint").textContent = error instanceof EdgeError ? error.hint : "";
}

export function showStartFailure(error: unknown): void {
  showFailure(error);
  element("version").textContent = "not loaded";
  for (const ghost of document.querySelectorAll(".ghost")) ghost.remove();
  for (const chip of document.querySelectorAll(".stages li:not(.ready)")) {
    chip.className = "failed";
    chip.textContent = chip.textContent.replace("starting", "not started");
  }
}

const OFFLINE: Readonly<Record<UpdateState["state"], string>> = {
  storing: "Storing",
  offline: "Kept offline",
  trying: "Trying an update",
  updated: "Update there",
  refused: "Update refused",
  failed: "Not kept offline",
  unavailable: "Not kept offline",
};

/** A check that came to nothing changes nothing of what is kept. */
function titled(state: UpdateState["state"], offline: boolean): string {
  if (state === "failed" && offline) return OFFLINE.offline;
  if (state === "refused" && !offline) return OFFLINE.failed; // there was nothing to update
  return OFFLINE[state];
}

export function showUpdate({ state, offline, share, message }: UpdateState): void {
  const chip = element("stage-offline");
  chip.hidden = false;
  const title = titled(state, offline);
  chip.textContent = state === "storing" ? `${title} ${Math.floor(100 * share)} %` : title;
  chip.title = message;
  chip.className = offline ? "ready" : state === "refused" ? "failed" : "";
  if (state !== "updated" && state !== "refused") return;
  const notice = element("update");
  const words = element("update-message");
  words.textContent = state === "updated" ? "A new version is ready." : message;
  notice.replaceChildren(words);
  if (state === "updated") {
    notice.append(button("Reload", () => location.reload(), "primary"));
  }
  notice.hidden = false;
  say(words.textContent);
}
