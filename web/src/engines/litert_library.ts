/**
 * How LiteRT.js gets its WebAssembly, in place of `@litertjs/wasm-utils`: that one calls
 * `importScripts`, which a module worker does not have, and Pyodide runs in no other.
 */

interface WithFactory {
  readonly default: (options: object) => Promise<object>;
}

/** `script` is the library's loader, of which the build made an ES module. */
export async function createWasmLib<T>(
  Library: new (module: object) => T,
  script: string,
): Promise<T> {
  const { default: factory } = (await import(script)) as WithFactory;
  const folder = new URL(".", script);
  // the loader looks beside the worker's script, and not beside itself
  const module = await factory({ locateFile: (name: string) => new URL(name, folder).href });
  return new Library(module);
}
