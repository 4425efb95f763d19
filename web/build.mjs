// Writes everything a bundle serves, apart from the package itself, into edge_targets/_web.
// Pyodide's and ONNX Runtime's own files stay as they are: bundled they would lose their workers,
// and a reader can compare them with what those projects publish.

import { cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { compileStdlib } from "./stdlib.mjs";

const here = import.meta.dirname;
const target = join(here, "..", "edge_targets", "_web");
const fresh = join(here, "dist"); // takes the place of the target once it is whole
const require = createRequire(import.meta.url);

const pyodide = dirname(require.resolve("pyodide/package.json"));
const ort = join(here, "node_modules", "onnxruntime-web");
const litert = join(here, "node_modules", "@litertjs", "core");

/** `root` is the way from what is built to the folder that holds `pyodide/` and `ort/`. */
function asTheyAre(root) {
  const outside = (file) => () => ({ path: `${root}${file}`, external: true });
  return {
    name: "libraries as they are",
    setup({ onResolve }) {
      onResolve({ filter: /^pyodide$/ }, outside("pyodide/pyodide.mjs"));
      onResolve({ filter: /^onnxruntime-web\/wasm$/ }, outside("ort/ort.wasm.min.mjs"));
    },
  };
}

const COMMON = {
  bundle: true,
  format: "esm",
  target: ["es2023"],
  minify: true,
  legalComments: "none",
};

async function readJson(path) {
  return JSON.parse(await readFile(path, "utf8"));
}

async function copy(from, names, folder) {
  await mkdir(join(fresh, folder), { recursive: true });
  for (const name of names) await cp(join(from, name), join(fresh, folder, name));
}

async function writeLock() {
  // Pyodide wants a lock; ours names no package, so there is nothing it could fetch
  const { info } = await readJson(join(pyodide, "pyodide-lock.json"));
  const lock = `${JSON.stringify({ info, packages: {} })}\n`;
  await writeFile(join(fresh, "pyodide", "pyodide-lock.json"), lock);
  return info.python;
}

async function version(folder) {
  return (await readJson(join(folder, "package.json"))).version;
}

/** The page that `sanderling verify` drives, apart from what a bundle takes. */
async function buildProving() {
  const versions = { onnx: await version(ort), tflite: await version(litert) };
  await build({
    ...COMMON,
    entryPoints: [join(here, "src", "proving.ts")],
    outdir: join(fresh, "proving"),
    define: { VERSIONS: JSON.stringify(versions) },
    plugins: [asTheyAre("../")],
  });
  await cp(join(here, "src", "proving.html"), join(fresh, "proving", "index.html"));
  // of its builds the one for a single thread, for the CPU alone
  const engine = ["litert_wasm_internal.js", "litert_wasm_internal.wasm"];
  await copy(join(litert, "wasm"), engine, "proving/litert");
  const parts = [
    {
      ...{ name: "LiteRT.js", version: versions.tflite, licence: "Apache-2.0" },
      ...{ files: ["proving.js", "litert/"], text: "../licences/Apache-2.0.txt" },
      source: "https://github.com/google-ai-edge/LiteRT",
    },
  ];
  const licences = join(fresh, "proving", "licences.json");
  await writeFile(licences, `${JSON.stringify({ schema: 1, parts }, null, 1)}\n`);
}

async function writeLicences(python) {
  const parts = [
    {
      ...{ name: "Sanderling", version: await version(here), licence: "Apache-2.0" },
      ...{
        files: ["index.html", "page.css", "page.js", "worker.js"],
        text: "licences/Apache-2.0.txt",
      },
    },
    {
      ...{ name: "Pyodide", version: await version(pyodide), licence: "MPL-2.0" },
      ...{ files: ["pyodide/"], text: "licences/MPL-2.0.txt" },
      source: "https://github.com/pyodide/pyodide",
    },
    {
      ...{ name: "CPython", version: python, licence: "PSF-2.0" },
      ...{ files: ["pyodide/pyodide.asm.wasm", "pyodide/python_stdlib.zip"] },
      ...{ text: "licences/PSF-2.0.txt", changes: "the library is compiled to bytecode" },
      source: "https://github.com/python/cpython",
    },
    {
      ...{ name: "ONNX Runtime Web", version: await version(ort), licence: "MIT" },
      ...{ files: ["ort/"], text: "licences/MIT-onnxruntime.txt" },
      source: "https://github.com/microsoft/onnxruntime",
    },
    {
      ...{ name: "Emscripten", version: "as in Pyodide and ONNX Runtime Web", licence: "MIT" },
      ...{ files: ["pyodide/pyodide.asm.mjs", "ort/ort-wasm-simd-threaded.mjs"] },
      source: "https://github.com/emscripten-core/emscripten",
    },
  ];
  await writeFile(
    join(fresh, "licences.json"),
    `${JSON.stringify({ schema: 1, parts }, null, 1)}\n`,
  );
  await cp(join(here, "licences"), join(fresh, "licences"), { recursive: true });
  await cp(join(here, "..", "LICENSE"), join(fresh, "licences", "Apache-2.0.txt"));
}

await rm(fresh, { recursive: true, force: true });
await build({
  ...COMMON,
  entryPoints: [join(here, "src", "page.ts"), join(here, "src", "worker.ts")],
  outdir: fresh,
  plugins: [asTheyAre("./")],
});
await cp(join(here, "src", "index.html"), join(fresh, "index.html"));
await cp(join(here, "src", "page.css"), join(fresh, "page.css"));
await copy(pyodide, ["pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm"], "pyodide");
const stdlib = "python_stdlib.zip";
await writeFile(join(fresh, "pyodide", stdlib), await compileStdlib(join(pyodide, stdlib)));
// of its builds the one for the CPU alone is half the size of the others
const engine = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];
await copy(join(ort, "dist"), engine, "ort");
await writeLicences(await writeLock());
await buildProving();
await rm(target, { recursive: true, force: true });
await rename(fresh, target);
