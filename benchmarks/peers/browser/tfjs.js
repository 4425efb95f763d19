// TensorFlow.js on its WebAssembly backend, one thread, with the same weights.
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { serve, timed } from "./serve.js";

async function bytes(name) {
  return (await fetch(new URL(name, import.meta.url))).arrayBuffer();
}

/** Layer by layer; a ReLU that follows is fused, as the converter does. */
function built(layers, weights) {
  let at = 0;
  const next = (shape) => {
    const size = shape.reduce((product, side) => product * side, 1);
    const values = new Float32Array(weights, at * 4, size);
    at += size;
    return tf.tensor(values, shape);
  };
  const steps = layers.map(([kind, shapes], index) => {
    const [filter, bias] = shapes.map(next);
    const activation = layers[index + 1]?.[0] === "Relu" ? "relu" : "linear";
    switch (kind) {
      case "Mul":
        return (x) => tf.mul(x, filter);
      case "Conv":
        return (x) => tf.fused.conv2d({ x, filter, strides: 1, pad: "same", bias, activation });
      case "MaxPool":
        return (x) => tf.maxPool(x, 2, 2, "valid");
      case "Reshape":
        return (x) => tf.reshape(x, [1, -1]);
      case "Gemm":
        return (a) => tf.fused.matMul({ a, b: filter, bias, activation });
      case "Softmax":
        return (x) => tf.softmax(x);
      case "Relu":
        return (x) => x;
      default:
        throw new Error(`There is no layer ${kind} here.`);
    }
  });
  return (x) => steps.reduce((value, step) => step(value), x);
}

async function startEngine() {
  setWasmPaths(new URL("./", import.meta.url).href);
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false); // else it fetches another build
  await tf.setBackend("wasm");
  await tf.ready();
  const [weights, item, layers] = await Promise.all([
    bytes("weights.bin"),
    bytes("item.bin"),
    fetch(new URL("layers.json", import.meta.url)).then((answer) => answer.json()),
  ]);
  const model = built(layers, weights);
  const pixels = new Float32Array(item);
  return async () => {
    // channels last, as this engine takes pictures
    const image = tf.transpose(tf.tensor(pixels, [1, 3, 48, 48]), [0, 2, 3, 1]);
    const found = tf.tidy(() => model(image));
    const shares = await found.data();
    tf.dispose([image, found]);
    return shares;
  };
}

const engine = startEngine();
serve({
  answer: async () => ({ shares: Array.from(await (await engine)()) }),
  label: async () => ({ label: "" }),
  time: async ({ runs }) => timed(await engine, runs),
});
