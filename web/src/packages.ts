/** Packages of the user's own, vendored into the bundle: no registry is asked for anything. */

import type { PyodideInterface } from "pyodide";
import { AGAIN } from "./integrity";
import { EdgeError } from "./read";

/** Installs what the bundle's lock names. */
export async function addPackages(
  pyodide: PyodideInterface,
  names: readonly string[],
): Promise<void> {
  if (names.length === 0) return;
  const told: string[] = [];
  const loaded = await pyodide.loadPackage([...names], {
    messageCallback: () => {},
    errorCallback: (line) => told.push(line),
  });
  // one that is refused is not in the list, and that is all that is said of it
  const missing = names.filter((name) => !loaded.some((one) => one.name === name));
  if (missing.length > 0) {
    throw new EdgeError(
      `Python did not take ${missing.join(", ")}: ${told.join(" ") || "no reason was given"}`,
      AGAIN,
    );
  }
}
