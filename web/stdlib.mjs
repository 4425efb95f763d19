// Python's standard library as bytecode: a page starts in less than half the time that it takes
// when every visitor's browser compiles the sources again. Compiled by the very Python that will
// read it, in Pyodide under Node; the same input gives the same bytes.

import { readFile } from "node:fs/promises";
import { loadPyodide } from "pyodide";

// for people at a prompt, for tests, and for protocols that a page cannot speak
const LEFT_OUT = [
  ...["_pyrepl", "bdb", "doctest", "ftplib", "imaplib", "mailbox", "pdb", "pickletools", "poplib"],
  ...["pydoc", "smtplib", "turtle", "unittest", "wsgiref", "xmlrpc"],
];

const COMPILE = `
import importlib.util, io, zipfile
from importlib._bootstrap_external import _code_to_hash_pyc

DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold

def compiled(source, left_out):
    made = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(made, "w") as new:
        for name in sorted(old.namelist()):
            if name.endswith("/") or name.removesuffix(".py").split("/")[0] in left_out:
                continue
            data = old.read(name)
            if name.endswith(".py"):
                # no docstrings, no asserts; unchecked: the zip holds no source to compare with
                code = compile(data, f"/lib/python314.zip/{name}", "exec", 0, True, 2)
                data = bytes(_code_to_hash_pyc(code, importlib.util.source_hash(data), False))
                name += "c"
            entry = zipfile.ZipInfo(name, DATE)
            entry.external_attr = 0o644 << 16
            new.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)
    return made.getvalue()
`;

/** The bytes of a zip with the modules of `path`, Pyodide's python_stdlib.zip, as bytecode. */
export async function compileStdlib(path) {
  const python = await loadPyodide();
  python.FS.writeFile("/tmp/stdlib.zip", await readFile(path));
  python.runPython(COMPILE);
  const compiled = python.globals.get("compiled");
  return compiled("/tmp/stdlib.zip", python.toPy(LEFT_OUT)).toJs();
}
