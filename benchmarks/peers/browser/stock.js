// The page that Pyodide's and ONNX Runtime's own guides lead to, in a worker.
import * as ort from "./engines/ort/ort.wasm.min.mjs";
import { loadPyodide } from "./python/pyodide.mjs";
import { serve, timed } from "./serve.js";

const NAMING = `
def label(shares):
    shares = shares.to_py()
    best = max(range(len(shares)), key=shares.__getitem__)
    return f"{best} {shares[best]:.3f}"
label`;

async function startEngine() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = new URL("engines/ort/", import.meta.url).href;
  const [session, item] = await Promise.all([
    ort.InferenceSession.create(new URL("model.onnx", import.meta.url).href),
    fetch(new URL("item.bin", import.meta.url)).then((answer) => answer.arrayBuffer()),
  ]);
  const image = new ort.Tensor("float32", new Float32Array(item), [1, 3, 48, 48]);
  return async () => (await session.run({ image })).probabilities.data;
}

async function startPython() {
  const python = await loadPyodide({ indexURL: new URL("python/", import.meta.url).href });
  return python.runPython(NAMING);
}

const engine = startEngine();
const naming = startPython();
serve({
  answer: async () => ({ shares: Array.from(await (await engine)()) }),
  label: async () => ({ label: (await naming)(await (await engine)()) }),
  time: async ({ runs }) => timed(await engine, runs),
});
