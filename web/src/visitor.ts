/**
 * Who sends records: a browser, under a name that says nothing of it. The name is made when its
 * visitor agrees, kept with the yes, and forgotten with a no.
 */

/** The name under which this browser's visitor has agreed; null where there is no yes. */
export function agreedName(base: URL): string | null {
  try {
    return localStorage.getItem(key(base));
  } catch {
    return null; // a browser may deny storage: then a yes holds until the page is left
  }
}

/** The visitor agrees: the name from before, or a new one. */
export function agree(base: URL): string {
  const name = agreedName(base) ?? newName();
  try {
    localStorage.setItem(key(base), name);
  } catch {
    // as above
  }
  return name;
}

/** The visitor takes the yes back. */
export function disagree(base: URL): void {
  try {
    localStorage.removeItem(key(base));
  } catch {
    // as above
  }
}

/** Another tab of the page took the yes back; `then` is called each time, until `signal` aborts. */
export function onDisagreed(base: URL, then: () => void, signal?: AbortSignal): void {
  const told = (event: StorageEvent) => {
    const gone = event.key === null || (event.key === key(base) && event.newValue === null);
    if (gone) then();
  };
  addEventListener("storage", told, signal ? { signal } : {});
}

/** A collector elsewhere lets a bundle's token in for such names only. */
function newName(): string {
  const random = crypto.getRandomValues(new Uint8Array(6)); // randomUUID wants a secure address
  return `browser-${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function key(base: URL): string {
  return `sanderling device ${base.pathname}`; // two bundles of one origin are agreed to apart
}
