// What both peers' pages have in common: a worker that answers, and when it first did.
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const waiting = new Map();

function ask(kind, words = {}) {
  const id = waiting.size + 1;
  worker.postMessage({ id, kind, words });
  return new Promise((done, failed) => waiting.set(id, { done, failed }));
}

worker.onmessage = ({ data: { id, result, error } }) => {
  const { done, failed } = waiting.get(id);
  if (error) failed(new Error(error));
  else done(result);
};

const at = (answer) => ({ ...answer, ms: performance.now() });
globalThis.peer = {
  first: ask("answer").then(at), // of the engine
  python: ask("label").then(at), // named by Python
  time: (runs) => ask("time", { runs }),
  answer: () => ask("answer"),
};
