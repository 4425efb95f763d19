/** Tables as text that spreadsheets and `toolkit` read: RFC 4180, with plain line ends. */

export type Cell = string | number | boolean | null | undefined;

export function csv(header: readonly string[], rows: Iterable<readonly Cell[]>): string {
  const lines = [line(header)];
  for (const row of rows) lines.push(line(row));
  return `${lines.join("\n")}\n`;
}

function line(cells: readonly Cell[]): string {
  return cells.map(cell).join(",");
}

/** What is missing, or no number, is an empty cell. */
function cell(value: Cell): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
