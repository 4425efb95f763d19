/** What the build puts in: the versions of what it was built with, and what Pyodide asks for. */

export interface Versions {
  readonly sanderling: string;
  readonly pyodide: string;
  readonly python: string;
  readonly "onnxruntime-web": string;
  readonly litert: string;
}

declare const BUILT_WITH: Versions;
declare const PYODIDE_LOCK: string; // a lock that names no package, as JSON

export const VERSIONS: Versions = BUILT_WITH;
export const LOCK: string = PYODIDE_LOCK;
