// Where the libraries lie that the build takes, and which of their files.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const here = import.meta.dirname;
const require = createRequire(import.meta.url);

export const pyodide = dirname(require.resolve("pyodide/package.json"));
export const ort = join(here, "node_modules", "onnxruntime-web");
export const litert = join(here, "node_modules", "@litertjs", "core");

/** By the folder below `engines/`: each is a part that a bundle takes or leaves. */
export const PARTS = {
  // of its builds the one for the CPU alone is half the size of the others
  ort: {
    ort: ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"],
    "ort-gpu": [
      "ort.jspi.min.mjs",
      "ort-wasm-simd-threaded.jspi.mjs",
      "ort-wasm-simd-threaded.jspi.wasm",
    ],
  },
  litert: {
    litert: "litert_wasm_internal",
    "litert-compat": "litert_wasm_compat_internal", // for browsers without relaxed SIMD
    "litert-gpu": "litert_wasm_jspi_internal",
    "litert-threads": "litert_wasm_threaded_internal",
  },
};

export async function readJson(path) {
  return JSON.parse(await readFile(path, "utf8"));
}

async function version(folder) {
  return (await readJson(join(folder, "package.json"))).version;
}

export async function versions() {
  return {
    sanderling: await version(here),
    pyodide: await version(pyodide),
    python: (await readJson(join(pyodide, "pyodide-lock.json"))).info.python,
    "onnxruntime-web": await version(ort),
    litert: await version(litert),
  };
}
