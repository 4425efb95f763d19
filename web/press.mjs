// Brotli beside the big files, which every bundle holds as they are: bundling then presses the small
// ones alone. A WebAssembly file takes a minute, so what was pressed once is kept by its hash.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";

const BIG = 64 << 10; // bytes: below that pressing takes no time
const kept = join(import.meta.dirname, ".brotli");
const compress = promisify(brotliCompress);

/** Writes PATH.br beside each big file of a folder. */
export async function press(folder, paths) {
  await mkdir(kept, { recursive: true });
  for (const path of paths) {
    const data = await readFile(join(folder, path));
    if (data.length >= BIG) await copyFile(await pressed(data), join(folder, `${path}.br`));
  }
}

async function pressed(data) {
  const name = createHash("sha256").update(data).digest("hex");
  const file = join(kept, `${name}.br`);
  if (existsSync(file)) return file;
  const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN, BROTLI_PARAM_SIZE_HINT } = constants;
  const made = await compress(data, {
    params: {
      [BROTLI_PARAM_QUALITY]: 11,
      [BROTLI_PARAM_LGWIN]: 24, // the widest that browsers take
      [BROTLI_PARAM_SIZE_HINT]: data.length,
    },
  });
  await writeFile(`${file}.${process.pid}`, made);
  await rename(`${file}.${process.pid}`, file); // whole, also where two builds run at once
  return file;
}
