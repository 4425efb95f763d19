// Python's standard library and our runtime as bytecode, in one zip: a page starts in less than half
// the time that it takes when every visitor's browser compiles the sources again. Compiled by the
// very Python that will read it, in Pyodide under Node; the same input gives the same bytes.

import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadPyodide } from "pyodide";
import { pyodide } from "./sources.mjs";

const root = join(import.meta.dirname, "..");

// for people at a prompt, for tests, and for protocols that a page cannot speak
const LEFT_OUT = [
  ...["_pyrepl", "bdb", "doctest", "ftplib", "imaplib", "mailbox", "pdb", "pickletools", "poplib"],
  ...["pydoc", "smtplib", "turtle", "unittest", "wsgiref", "xmlrpc"],
];

const COMPILE = `
import importlib.util, io, zipfile
from importlib._bootstrap_external import _code_to_hash_pyc

DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold

def members(source, runtime, left_out):
    with zipfile.ZipFile(source) as old:
        for name in old.namelist():
            if not name.endswith("/") and name.removesuffix(".py").split("/")[0] not in left_out:
                yield name, old.read(name)
    yield from ((name, data.encode()) for name, data in runtime.items())

def compiled(source, runtime, left_out):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as new:
        for name, data in sorted(members(source, runtime.to_py(), left_out.to_py())):
            if name.endswith(".py"):
                # no docstrings, no asserts; unchecked: the zip holds no source to compare with
                code = compile(data, f"/lib/python314.zip/{name}", "exec", 0, True, 2)
                data = bytes(_code_to_hash_pyc(code, importlib.util.source_hash(data), False))
                name += "c"
            entry = zipfile.ZipInfo(name, DATE)
            entry.external_attr = 0o644 << 16
            # stored: brotli makes far less of it in one piece, and Python reads it at once
            new.writestr(entry, data, zipfile.ZIP_STORED)
    return made.getvalue()
`;

/** Writes the zip that Pyodide starts from. */
export async function writeStdlib(path) {
  const python = await loadPyodide();
  python.FS.writeFile("/tmp/stdlib.zip", await readFile(join(pyodide, "python_stdlib.zip")));
  python.runPython(COMPILE);
  const compiled = python.globals.get("compiled");
  const runtime = Object.fromEntries(await sources((data) => data.toString("utf8")));
  await writeFile(path, compiled("/tmp/stdlib.zip", runtime, LEFT_OUT).toJs());
}

/** Which sources of the runtime are in the zip, as edge_targets/bundling has it too. */
export async function runtimeDigest() {
  const sum = createHash("sha256");
  for (const [path, digest] of await sources((data) =>
    createHash("sha256").update(data).digest(),
  )) {
    sum.update(path).update("\0").update(digest);
  }
  return sum.digest("hex");
}

async function sources(read) {
  const below = await readdir(join(root, "edge_targets", "runtime"), { recursive: true });
  const paths = below.filter((path) => path.endsWith(".py")).map((path) => `runtime/${path}`);
  const names = ["__init__.py", ...paths].map((path) => `edge_targets/${path}`).sort();
  return Promise.all(names.map(async (name) => [name, read(await readFile(join(root, name)))]));
}
