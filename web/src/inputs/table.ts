/** A form for one row: a field a column, with what the training data held. */

import type { Card, Context } from "./card";
import { type Column, columnsOf, itemsIn, rowTensor, valueIn } from "./columns";
import { button, fileButton, heading, make, Problem } from "./dom";
import { itemsOf, textOf } from "./files";

const FILES = ".csv,.tsv,.txt,text/csv,text/plain";

interface Field {
  readonly column: Column;
  readonly input: HTMLInputElement | HTMLSelectElement;
  readonly label: HTMLElement;
  readonly note: HTMLElement;
}

export function card({ spec, profile, place, give, cleared }: Context): Card {
  const columns = columnsOf(spec, profile);
  const problem = new Problem();
  const fields = columns.map((column, i) => field(column, i));
  const submit = () => {
    const values = fields.map(read);
    if (values.includes(null)) return cleared(); // the field says why there is no answer
    problem.clear();
    give({ [spec.name]: rowTensor(values.map((value) => value ?? Number.NaN)) }, true);
  };
  const fill = (data: ArrayLike<number>) => {
    fields.forEach((one, i) => {
      one.input.value = written(one.column, data[i] ?? Number.NaN);
      read(one);
    });
  };
  const clear = () => {
    for (const { input } of fields) input.value = "";
    fields.forEach(read);
    problem.clear();
    cleared();
  };
  const takeText = (text: string) => {
    const [item, ...others] = itemsIn(text, columns, spec.name);
    const row = item?.inputs[spec.name];
    if (!row) throw new Error(item?.problem);
    fill(row.data);
    submit();
    if (others.length > 0) note.textContent = `The first of ${others.length + 1} rows was taken.`;
  };
  const note = make("p", { className: "quiet", role: "status" });
  const typical = button("Typical values", () => {
    fill(columns.map(({ usual }) => usual ?? Number.NaN));
    submit();
  });
  typical.hidden = columns.every(({ usual }) => usual === null);
  const choose = fileButton({
    ...{ place, label: "File", accept: FILES, problem },
    take: async (file) => takeText(await textOf(file)),
  });
  const form = make("form", { id: "fields", autocomplete: "off", noValidate: true });
  form.append(
    ...fields.map(({ label }) => label),
    make("button", { textContent: "Ask", className: "primary" }),
  );
  form.addEventListener("change", submit);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  form.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (!/[\t;,\n]/.test(text.trim())) return; // one value: it goes where the cursor is
    event.preventDefault();
    void problem.watch(() => takeText(text));
  });
  const help = "A row copied from a table can be pasted into any field. Empty means missing.";
  place.replaceChildren(
    heading(place, "Values", typical, choose, button("Clear", clear)),
    form,
    make("p", { className: "quiet", textContent: help }),
    note,
    problem.element,
  );
  return {
    show: (example) => fill(example[spec.name]?.data ?? []),
    clear,
    accept: FILES,
    files: (files) =>
      itemsOf(files, async (file) => {
        const items = itemsIn(await textOf(file), columns, spec.name);
        return items.map((item) => ({ ...item, name: `${file.name}, ${item.name}` }));
      }),
  };
}

function field(column: Column, index: number): Field {
  const { name, title, unit, choices, low, high, usual } = column;
  const id = `input-field-${index}`;
  const note = make("span", { className: "quiet", id: `${id}-note` });
  const input = choices.length > 0 ? options(choices) : make("input", { inputMode: "decimal" });
  input.id = id;
  input.name = name;
  input.setAttribute("aria-describedby", note.id);
  if (input instanceof HTMLInputElement) input.placeholder = usual === null ? "" : String(usual);
  const endless = low === null || high === null || choices.length > 0;
  const range = endless ? "" : `${rounded(low)} to ${rounded(high)}`;
  note.textContent = range && `seen ${range}`;
  note.dataset.range = range;
  const words = make("label", { htmlFor: id }, title, unit ? ` (${unit})` : "");
  const label = make("div", { className: "input-field" }, words, input, note);
  return { column, input, label, note };
}

function options(choices: readonly string[]): HTMLSelectElement {
  const all = choices.map((choice) => make("option", { value: choice, textContent: choice }));
  return make("select", {}, make("option", { value: "", textContent: "missing" }), ...all);
}

/** The number in a field, not-a-number when it is empty; null when it is none, which it says. */
function read({ column, input, note }: Field): number | null {
  const range = note.dataset.range ?? "";
  const told = (words: string, state: "" | "far" | "wrong") => {
    note.textContent = words;
    note.dataset.state = state;
    input.setAttribute("aria-invalid", String(state === "wrong"));
  };
  try {
    const value = valueIn(column, input.value);
    const far = isOutside(column, value);
    const seen = range && `seen ${range}`;
    told(far ? `outside what was seen: ${range}` : seen, far ? "far" : "");
    return value;
  } catch (error) {
    told(error instanceof Error ? "This is no number. Write it like 2.5." : "", "wrong");
    return null;
  }
}

/** The model reads float32, and so did who counted: 0.2 is not below the 0.2 that was seen. */
function isOutside({ low, high, choices }: Column, value: number): boolean {
  if (choices.length > 0 || low === null || high === null) return false;
  const read = Math.fround(value);
  return read < Math.fround(low) || read > Math.fround(high);
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function written({ choices }: Column, value: number): string {
  if (!Number.isFinite(value)) return "";
  return choices.length > 0 ? (choices[Math.round(value)] ?? "") : short(value);
}

/** As a person would write it: float32 values have no more than seven digits to tell. */
function short(value: number): string {
  return String(Number(value.toPrecision(7)));
}
