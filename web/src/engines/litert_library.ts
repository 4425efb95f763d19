/**
 * How LiteRT.js gets its WebAssembly, in place of `@litertjs/wasm-utils`: that one calls
 * `importScripts`, which a module worker does not have, and Pyodide runs in no other.
 */

interface WithFactory {
  readonly default: (options: object) => Promise<object>;
}

/** `script` is the library's loader; beside it lies what the build made a module of. */
export async function createWasmLib<T>(
  Library: new (module: object) => T,
  script: string,
): Promise<T> {
  const { default: factory } = (await import(script.replace(/js$/, "mjs"))) as WithFactory;
  const module = await factory({
    // it would look beside the worker's own script
    locateFile: (name: string) => new URL(name, script).href,
    mainScriptUrlOrBlob: script, // its threads are workers of the kind that it was published for
    print: () => {},
    printErr: () => {}, // it tells of its start; what fails is thrown
  });
  return new Library(module);
}
