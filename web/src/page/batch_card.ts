/** The card of batch mode: takes files in, shows the answers as they come. */

import type { Manifest, Profile } from "../contract";
import type { Card } from "../inputs/card";
import { type Ask, answered, type Row, table } from "./batch";
import { button, download, make } from "./dom";
import { filesIn, picker } from "./files";
import { counted, percent, withUnit } from "./words";

const SHOWN = 200; // rows on the page; the download has all

export class BatchCard {
  readonly #work = make("div", { id: "batch-work" });
  #running: AbortController | null = null;

  constructor(
    place: HTMLElement,
    private readonly manifest: Manifest,
    private readonly profile: Profile,
    private readonly card: Card,
    private readonly ask: Ask,
    private readonly say: (text: string) => void,
  ) {
    const take = (files: readonly File[]) => void this.#take(files);
    const buttons = make(
      "div",
      { className: "actions" },
      picker("Choose files …", take, { accept: card.accept ?? "" }),
      picker("Choose a folder …", take, { folder: true }),
    );
    const told = "Drop files or a folder here; each one is answered in this browser.";
    place.replaceChildren(
      make(
        "div",
        { className: "title" },
        make("h2", { id: "batch-title", textContent: "Many at once" }),
        buttons,
      ),
      make("p", { className: "quiet", textContent: told }),
      this.#work,
    );
    place.addEventListener("dragover", (event) => {
      event.preventDefault(); // else the browser opens what is dropped
      place.classList.add("over");
    });
    for (const end of ["dragleave", "drop"]) {
      place.addEventListener(end, () => place.classList.remove("over"));
    }
    place.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer) void filesIn(event.dataTransfer).then(take);
    });
  }

  async #take(files: readonly File[]): Promise<void> {
    this.#running?.abort();
    if (files.length === 0 || !this.card.files) return;
    const running = new AbortController();
    this.#running = running;
    const bar = make("progress", { ariaLabel: "Answering" });
    const state = make("span", { className: "quiet", textContent: "Reading …" });
    const stop = button("Stop", () => running.abort());
    this.#work.replaceChildren(make("div", { className: "running" }, bar, state, stop));
    const rows: Row[] = [];
    try {
      const items = await this.card.files(files);
      bar.max = items.length;
      const groups = answered(this.manifest, this.profile, items, this.ask, running.signal);
      for await (const some of groups) {
        rows.push(...some);
        bar.value = rows.length;
        state.textContent = `${rows.length} of ${items.length}`;
      }
      if (this.#running === running) this.#show(rows, running.signal.aborted);
    } catch (error) {
      if (this.#running === running) this.#show(rows, true, error);
    }
  }

  #show(rows: readonly Row[], stopped: boolean, error?: unknown): void {
    const told = summary(rows, stopped);
    const save = button("Download as CSV", () =>
      download(
        `${this.manifest.name}-answers.csv`,
        table(this.manifest.signature, rows),
        "text/csv",
      ),
    );
    const parts: HTMLElement[] = [make("p", { textContent: told })];
    if (error !== undefined) {
      const words = error instanceof Error ? error.message : String(error);
      const hint = error instanceof Error && "hint" in error ? String(error.hint) : "";
      parts.unshift(make("p", { className: "bad", textContent: `${words} ${hint}` }));
    }
    if (rows.length > 0) parts.push(this.#table(rows), make("div", { className: "actions" }, save));
    this.#work.replaceChildren(...parts);
    this.say(told);
  }

  #table(rows: readonly Row[]): HTMLElement {
    const { labels, outputs } = this.manifest.signature;
    const classes = labels.length > 0;
    const heads = ["Item", "Answer", ...(classes ? ["Confidence"] : []), "Note"];
    const head = make(
      "tr",
      {},
      ...heads.map((text) => make("th", { scope: "col", textContent: text })),
    );
    const lines = rows.slice(0, SHOWN).map(({ name, problem, answer, values, unlike }) => {
      const number = values.length === 1 ? withUnit(values[0] ?? 0, outputs[0]?.unit ?? "") : "";
      const given = answer.abstained ? "No answer" : (answer.label ?? number);
      const sure = answer.confidence === undefined ? "" : percent(answer.confidence);
      const unsure = answer.abstained ? `not sure enough: ${answer.label}` : "";
      const note =
        problem || [unsure, unlike ? "unlike the training data" : ""].filter(Boolean).join("; ");
      const cells = [name, given, ...(classes ? [sure] : []), note];
      return make("tr", {}, ...cells.map((text) => make("td", { textContent: text, dir: "auto" })));
    });
    const caption = make("caption", { className: "unseen", textContent: "Answers" });
    const made = make("table", {}, caption, make("thead", {}, head), make("tbody", {}, ...lines));
    // who has no mouse scrolls with the arrow keys
    const frame = make("div", {
      className: "scroll",
      tabIndex: 0,
      role: "region",
      ariaLabel: "Answers",
    });
    frame.append(made);
    if (rows.length > SHOWN) {
      const more = `${counted(rows.length - SHOWN, "item")} more in the download.`;
      frame.append(make("p", { className: "quiet", textContent: more }));
    }
    return frame;
  }
}

function summary(rows: readonly Row[], stopped: boolean): string {
  const good = rows.filter(({ problem }) => problem === "");
  const count = (test: (row: Row) => boolean | undefined, words: string) => {
    const found = good.filter(test).length;
    return found > 0 ? [`${found} ${words}`] : [];
  };
  const bad = rows.length - good.length;
  const parts = [
    `${stopped ? "Stopped: " : ""}${counted(good.length, "item")} answered`,
    ...count(({ answer }) => answer.abstained, "not sure enough"),
    ...count((row) => row.unlike, "unlike the training data"),
    ...(bad > 0 ? [`${bad} not read`] : []),
  ];
  return `${parts.join(", ")}.`;
}
