/** What this browser's WebAssembly can do: each probe is the smallest module that needs it. */

const HEAD = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]; // "\0asm", version 1
const TYPE = [1, 5, 1, 0x60, 0, 1, 0x7b]; // one function, that gives a v128
const FUNCTION = [3, 2, 1, 0];
const SPLAT = [0x41, 0, 0xfd, 0x0f]; // i32.const 0, i8x16.splat

/** Both engines are compiled for it. */
export function hasSimd(): boolean {
  return accepts([...SPLAT]);
}

/** Fused and cheaper instructions; the usual build of LiteRT.js wants them, another does without. */
export function hasRelaxedSimd(): boolean {
  return accepts([...SPLAT, ...SPLAT, 0xfd, 0x80, 2]); // i8x16.relaxed_swizzle
}

function accepts(code: readonly number[]): boolean {
  const body = [0, ...code, 0x0b]; // no locals, end
  const section = [0x0a, body.length + 2, 1, body.length, ...body];
  return WebAssembly.validate(Uint8Array.from([...HEAD, ...TYPE, ...FUNCTION, ...section]));
}
