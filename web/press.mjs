// Brotli beside the big files, which every bundle holds as they are: bundling then presses the small
// ones alone. At its best a WebAssembly file takes half a minute: what was pressed once is kept by
// its hash, and engines that few pages fetch get less of it.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";

const BIG = 64 << 10; // bytes: below that pressing takes no time
const kept = join(import.meta.dirname, ".brotli");
const compress = promisify(brotliCompress);

const FEW = /^engines\/[a-z]+-/; // litert-gpu, ort-gpu, …
const [BEST, GOOD] = [11, 9]; // a tenth larger, thirty times faster

/** Writes PATH.br beside each big file of a folder. */
export async function press(folder, paths) {
  await mkdir(kept, { recursive: true });
  const left = [...paths];
  const work = async () => {
    for (let path = left.shift(); path !== undefined; path = left.shift()) {
      const data = await readFile(join(folder, path));
      if (data.length < BIG) continue;
      const file = await pressed(data, FEW.test(path) ? GOOD : BEST);
      await copyFile(file, join(folder, `${path}.br`));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
}

async function pressed(data, quality) {
  const name = createHash("sha256").update(data).digest("hex");
  const file = join(kept, `${name}-${quality}.br`);
  if (existsSync(file)) return file;
  const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN, BROTLI_PARAM_SIZE_HINT } = constants;
  const made = await compress(data, {
    params: {
      [BROTLI_PARAM_QUALITY]: quality,
      [BROTLI_PARAM_LGWIN]: 24, // the widest that browsers take
      [BROTLI_PARAM_SIZE_HINT]: data.length,
    },
  });
  await writeFile(`${file}.${process.pid}`, made);
  await rename(`${file}.${process.pid}`, file); // whole, also where two builds run at once
  return file;
}
