/** Files that a visitor brings: chosen or dropped, folders walked through. */

import { button, make } from "./dom";

const MOST = 10_000; // files: more would be a disk, not a folder

/** A button that lets files be chosen. */
export function picker(
  text: string,
  take: (files: readonly File[]) => void,
  options: { readonly accept?: string; readonly folder?: boolean } = {},
): HTMLElement {
  const input = make("input", {
    ...{ type: "file", multiple: true, hidden: true, ariaLabel: text },
    ...{ accept: options.accept ?? "", webkitdirectory: options.folder ?? false },
  });
  input.addEventListener("change", () => {
    take(visible([...(input.files ?? [])].map((file) => called(file, file.webkitRelativePath))));
    input.value = ""; // the same choice again is another one
  });
  const open = button(text, () => input.click());
  return make("span", {}, open, input);
}

/** All files in what was dropped, by their paths. */
export async function filesIn(dropped: DataTransfer): Promise<readonly File[]> {
  // asked for at once: after the first wait the browser has forgotten them
  const items = [...dropped.items].map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  const found: File[] = [];
  for (const item of items) {
    if (item instanceof File)
      found.push(item); // what no disk holds, as a picture from a page
    else if (item) await walk(item, found);
  }
  return visible(found);
}

async function walk(entry: FileSystemEntry, found: File[]): Promise<void> {
  if (found.length >= MOST) return;
  if (entry instanceof FileSystemFileEntry) {
    const file = await new Promise<File>((give, fail) => entry.file(give, fail));
    found.push(called(file, entry.fullPath.replace(/^\//, "")));
  } else if (entry instanceof FileSystemDirectoryEntry) {
    const reader = entry.createReader();
    for (;;) {
      // a browser gives a hundred at a time, and none at the end
      const some = await new Promise<FileSystemEntry[]>((give, fail) =>
        reader.readEntries(give, fail),
      );
      if (some.length === 0) return;
      for (const one of some) await walk(one, found);
    }
  }
}

/** The same file under its path: two folders may have a `1.png` each. */
function called(file: File, path: string): File {
  return path ? new File([file], path, { type: file.type }) : file;
}

/** Without what file managers leave behind, in the order of names. */
function visible(files: readonly File[]): readonly File[] {
  return files
    .filter(({ name }) => !name.split("/").some((part) => part.startsWith(".")))
    .sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}
