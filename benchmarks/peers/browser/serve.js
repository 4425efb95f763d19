// The other end of page.js; `steps` has one function a kind of message.
export function serve(steps) {
  let queue = Promise.resolve();
  self.onmessage = ({ data: { id, kind, words } }) => {
    queue = queue
      .then(() => steps[kind](words))
      .then((result) => self.postMessage({ id, result }))
      .catch((error) => self.postMessage({ id, error: String(error?.stack ?? error) }));
  };
}

/** Milliseconds of each run, one after the other. */
export async function timed(run, runs) {
  const ms = [];
  for (let i = 0; i < runs; i++) {
    const began = performance.now();
    await run();
    ms.push(performance.now() - began);
  }
  return { ms };
}
