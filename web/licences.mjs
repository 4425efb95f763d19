// Whose work is in the built files, and under which terms.

import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";

const here = import.meta.dirname;

/** Each part's `files` are paths, or folders that end in a slash. */
function partsOf(versions) {
  return [
    {
      ...{ name: "Sanderling", version: versions.sanderling, licence: "Apache-2.0" },
      files: [
        ...[
          "index.html",
          "page.css",
          "page.js",
          "sanderling.js",
          "worker.js",
          "sw.js",
          "recorder.js",
          "chunks/",
        ],
        ...["engines/ort.js", "engines/litert.js", "python/python.js"],
      ],
      text: "licences/Apache-2.0.txt",
    },
    {
      ...{ name: "Pyodide", version: versions.pyodide, licence: "MPL-2.0" },
      files: ["python/pyodide.mjs", "python/pyodide.asm.mjs", "python/pyodide.asm.wasm"],
      ...{ text: "licences/MPL-2.0.txt", source: "https://github.com/pyodide/pyodide" },
    },
    {
      ...{ name: "CPython", version: versions.python, licence: "PSF-2.0" },
      ...{ files: ["python/pyodide.asm.wasm", "python/stdlib.zip"] },
      ...{ text: "licences/PSF-2.0.txt", source: "https://github.com/python/cpython" },
      changes: "the library is compiled to bytecode, and modules that no page needs are left out",
    },
    {
      ...{ name: "ONNX Runtime Web", version: versions["onnxruntime-web"], licence: "MIT" },
      ...{ files: ["engines/ort/", "engines/ort-gpu/"], text: "licences/MIT-onnxruntime.txt" },
      source: "https://github.com/microsoft/onnxruntime",
    },
    {
      ...{ name: "LiteRT.js", version: versions.litert, licence: "Apache-2.0" },
      files: [
        ...["engines/litert.js", "engines/litert/", "engines/litert-compat/"],
        ...["engines/litert-gpu/", "engines/litert-threads/"],
      ],
      ...{ text: "licences/Apache-2.0.txt", source: "https://github.com/google-ai-edge/LiteRT" },
      changes: "its loader is minified and exports itself, so that module workers can import it",
    },
    {
      ...{ name: "Emscripten", version: "as in Pyodide and the engines", licence: "MIT" },
      files: ["python/pyodide.asm.mjs", "engines/ort/", "engines/litert/"],
      text: "licences/MIT-emscripten.txt",
      source: "https://github.com/emscripten-core/emscripten",
    },
  ];
}

export async function writeLicences(folder, versions) {
  const content = { schema: 1, parts: partsOf(versions) };
  await writeFile(join(folder, "licences.json"), `${JSON.stringify(content, null, 1)}\n`);
  await cp(join(here, "licences"), join(folder, "licences"), { recursive: true });
  await cp(join(here, "..", "LICENSE"), join(folder, "licences", "Apache-2.0.txt"));
}
