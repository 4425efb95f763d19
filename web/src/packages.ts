/** Packages of the user's own, vendored into the bundle: no registry is asked for anything. */

import type { PyodideInterface } from "pyodide";
import { AGAIN } from "./integrity";
import { EdgeError } from "./read";

const REST = "/lib/rest.zip"; // of the standard library: a stranger's code may import anything

/** Installs what the bundle's lock names; `folder` holds `rest.zip` and the wheels. */
export async function addPackages(
  pyodide: PyodideInterface,
  names: readonly string[],
  folder: URL,
): Promise<void> {
  if (names.length === 0) return;
  const rest = await (await fetch(new URL("rest.zip", folder))).arrayBuffer();
  pyodide.FS.writeFile(REST, new Uint8Array(rest));
  pyodide.runPython(`import sys; sys.path.append(${JSON.stringify(REST)})`);
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
