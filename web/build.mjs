// Writes everything a bundle serves, apart from the package itself, into edge_targets/_web, or into
// SANDERLING_WEB_OUT. Pyodide's and the engines' own files stay as they are: bundled they would
// lose their workers, and a reader can compare them with what those projects publish.

import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { build, transform } from "esbuild";
import { writeLicences } from "./licences.mjs";
import { press } from "./press.mjs";
import { litert, ort, PARTS, pyodide, readJson, versions } from "./sources.mjs";
import { runtimeDigest, writeStdlib } from "./stdlib.mjs";

const here = import.meta.dirname;
const target = resolve(process.env.SANDERLING_WEB_OUT ?? join(here, "..", "edge_targets", "_web"));
const fresh = `${target}.${process.pid}`; // takes the place of the target once it is whole
const source = (name) => join(here, "src", name);

/** Where a library lies, from the module that imports it: the build leaves such imports alone. */
function asTheyAre(addresses) {
  return {
    name: "libraries as they are",
    setup({ onResolve }) {
      onResolve({ filter: /^(pyodide|onnxruntime-web\/.*)$/ }, ({ path }) => {
        return { path: addresses[path], external: true };
      });
      onResolve({ filter: /^@litertjs\/wasm-utils$/ }, () => {
        return { path: source("engines/litert_library.ts") };
      });
    },
  };
}

const found = await versions();
const { info } = await readJson(join(pyodide, "pyodide-lock.json"));
const COMMON = {
  bundle: true,
  format: "esm",
  target: ["es2023"],
  minify: true,
  legalComments: "none",
  drop: ["console"], // libraries tell of their start there, and a page's visitors cannot read it
  define: {
    BUILT_WITH: JSON.stringify(found),
    // Pyodide wants a lock; ours names no package, so there is nothing it could fetch
    PYODIDE_LOCK: JSON.stringify(JSON.stringify({ info, packages: {} })),
  },
};

/** Each in one piece: over a network every file more is another wait, and these are small. */
async function buildPage() {
  const entries = { page: "page.ts", sanderling: "sanderling.ts", recorder: "inputs/recorder.ts" };
  for (const [out, name] of Object.entries(entries)) {
    await build({ ...COMMON, entryPoints: [{ in: source(name), out }], outdir: fresh });
  }
  // a service worker is a classic script: the browser compares it byte by byte
  const offline = { entryPoints: [source("sw.ts")], outdir: fresh, format: "iife" };
  await build({ ...COMMON, ...offline });
}

async function buildWorker() {
  const names = ["worker", "engines/ort", "engines/litert"];
  await build({
    ...COMMON,
    entryPoints: [
      ...names.map((name) => ({ in: source(`${name}.ts`), out: name })),
      { in: source("python.ts"), out: "python/python" },
    ],
    outdir: fresh,
    splitting: true, // what they share is loaded once, and `instanceof` holds from one to the other
    chunkNames: "chunks/[name]-[hash]",
    plugins: [
      asTheyAre({
        pyodide: "./pyodide.mjs",
        "onnxruntime-web/wasm": "./ort/ort.wasm.min.mjs",
        "onnxruntime-web/jspi": "./ort-gpu/ort.jspi.min.mjs",
      }),
    ],
  });
}

/** The page that `sanderling verify` drives, apart from what a bundle takes. */
async function buildProving() {
  await build({
    ...COMMON,
    entryPoints: [source("proving.ts")],
    outdir: join(fresh, "proving"),
    plugins: [
      asTheyAre({
        "onnxruntime-web/wasm": "../engines/ort/ort.wasm.min.mjs",
        "onnxruntime-web/jspi": "../engines/ort-gpu/ort.jspi.min.mjs",
      }),
    ],
  });
  await cp(source("proving.html"), join(fresh, "proving", "index.html"));
}

async function copy(from, names, folder) {
  await mkdir(join(fresh, folder), { recursive: true });
  for (const name of names) await cp(join(from, name), join(fresh, folder, name));
}

async function copyLibraries() {
  await copy(pyodide, ["pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm"], "python");
  for (const [folder, names] of Object.entries(PARTS.ort)) {
    await copy(join(ort, "dist"), names, `engines/${folder}`);
  }
  for (const [folder, build] of Object.entries(PARTS.litert)) {
    await copy(join(litert, "wasm"), [`${build}.wasm`], `engines/${folder}`);
    // a module worker imports its loader, which is published as a script
    const script = await readFile(join(litert, "wasm", `${build}.js`), "utf8");
    const module = await transform(`${script}\nexport default ModuleFactory;`, { minify: true });
    await writeFile(join(fresh, "engines", folder, `${build}.mjs`), module.code);
  }
  // each of its threads is a worker of the other kind, which runs the script
  await copy(
    join(litert, "wasm"),
    [`${PARTS.litert["litert-threads"]}.js`],
    "engines/litert-threads",
  );
}

async function copyPage() {
  await cp(source("index.html"), join(fresh, "index.html"));
  await cp(join(here, "sanderling.d.ts"), join(fresh, "sanderling.d.ts"));
  await build({ ...COMMON, entryPoints: [source("page.css")], outdir: fresh }); // one with inputs.css
}

/** What belongs together, and is left out together; what no part names belongs to the page. */
function part(path) {
  const [first, second = ""] = path.split("/");
  if (first === "python") return second === "library.zip" ? "python-whole" : "python";
  if (first === "engines") return second.replace(/\.js$/, "");
  return "page";
}

async function writeParts() {
  const parts = {};
  for (const path of (await files(fresh)).sort()) {
    if (/^(proving|licences)\b/.test(path) || path === "licences.json") continue;
    parts[part(path)] ??= [];
    parts[part(path)].push(path);
  }
  const runtime = await runtimeDigest();
  const index = { schema: 1, versions: found, lock: info, runtime, parts };
  await writeFile(join(fresh, "parts.json"), `${JSON.stringify(index, null, 1)}\n`);
}

async function files(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"));
}

await rm(fresh, { recursive: true, force: true });
await buildPage();
await buildWorker();
await buildProving();
await copyPage();
await copyLibraries();
await writeStdlib(join(fresh, "python"));
await writeLicences(fresh, found);
await writeParts();
await press(fresh, await files(fresh));
await rm(target, { recursive: true, force: true });
await rename(fresh, target);
