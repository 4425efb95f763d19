// Python's standard library and our runtime as bytecode, in zips: a page starts in less than half the
// time that it takes when every visitor's browser compiles the sources again. Compiled by the very
// Python that will read it, in Pyodide under Node; the same input gives the same bytes.
//
// stdlib.zip is what Pyodide itself and our bridge import, found by importing it; library.zip is all
// of it, which takes its place in bundles with packages of the user's own.

import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadPyodide } from "pyodide";

const root = join(import.meta.dirname, "..");

// for people at a prompt, for tests, and for protocols that a page cannot speak
const LEFT_OUT = [
  ...["_pyrepl", "bdb", "doctest", "ftplib", "imaplib", "mailbox", "pdb", "pickletools", "poplib"],
  ...["pydoc", "smtplib", "turtle", "unittest", "wsgiref", "xmlrpc"],
];

const COMPILE = `
import ast, importlib, importlib.util, io, sys, types, zipfile
from importlib._bootstrap_external import _code_to_hash_pyc

BRIDGE = "edge_targets.runtime.bridge"
ALSO = ["encodings.ascii", "encodings.idna", "encodings.latin_1", "encodings.utf_16_le"]  # by name
DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold

def module_of(path):
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

def named(source):
    """The modules that a source imports anywhere, also inside of functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)

def needed(runtime):
    """The standard modules that the bridge may come to import, and what Pyodide imported."""
    sources = {module_of(path): source for path, source in runtime.items()}
    reached, waiting = set(), [BRIDGE]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            parents = [name.rsplit(".", i)[0] for i in range(1, name.count(".") + 1)]
            waiting += parents
            if name in sources:
                waiting += named(sources[name])
    for name in [*sorted(reached - set(sources)), *ALSO]:
        if not name.startswith("edge_targets"):
            try:
                importlib.import_module(name)
            except ImportError:
                pass  # a name out of a module; or an engine's package, which is not for browsers
    return set(sys.modules)

def without_lines(code):
    # nobody reads the line of an error inside the library here: a fifth of its bytes
    inner = (without_lines(c) if isinstance(c, types.CodeType) else c for c in code.co_consts)
    return code.replace(co_linetable=b"", co_consts=tuple(inner))

def bytecode(path, source, ours):
    # no docstrings, no asserts; unchecked: the zip holds no source to compare with
    code = compile(source, path, "exec", 0, True, 2)
    code = code if ours else without_lines(code)
    return bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))

def zipped(members):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as new:
        for path, data in sorted(members.items()):
            entry = zipfile.ZipInfo(path, DATE)
            entry.external_attr = 0o644 << 16
            # stored: brotli makes far less of it in one piece, and Python reads it at once
            new.writestr(entry, data, zipfile.ZIP_STORED)
    return made.getvalue()

def compiled(started, runtime, left_out):
    runtime = {path: source.encode() for path, source in runtime.to_py().items()}
    core, rest = {}, {}
    wanted = needed(runtime) | set(started.to_py())
    with zipfile.ZipFile("/lib/python314.zip") as old:
        library = {path: old.read(path) for path in old.namelist() if path.endswith(".py")}
    for path, source in library.items():
        if module_of(path).split(".")[0] not in left_out.to_py():
            there = core if module_of(path) in wanted else rest
            there[path + "c"] = bytecode(path, source, False)
    for path, source in runtime.items():
        core[path + "c"] = bytecode(path, source, True)
    return zipped(core), zipped({**core, **rest})
`;

/** Writes the zips that Pyodide starts from into a folder. */
export async function writeStdlib(folder) {
  const runtime = Object.fromEntries(await sources((data) => data.toString("utf8")));
  // without the columns of every instruction the bytecode is a quarter smaller
  const python = await loadPyodide({ env: { PYTHONNODEBUGRANGES: "1" } });
  const started = python.runPython("import sys; list(sys.modules)").toJs();
  python.runPython(COMPILE);
  const compiled = python.globals.get("compiled");
  const [core, whole] = compiled(started, runtime, LEFT_OUT).toJs();
  await writeFile(join(folder, "stdlib.zip"), core);
  await writeFile(join(folder, "library.zip"), whole);
}

/** Which sources of the runtime are in the zip, as edge_targets/bundling has it too. */
export async function runtimeDigest() {
  const sum = createHash("sha256");
  const hash = (data) => createHash("sha256").update(data).digest();
  for (const [path, digest] of await sources(hash)) sum.update(`${path}\0`).update(digest);
  return sum.digest("hex");
}

async function sources(read) {
  const below = await readdir(join(root, "edge_targets", "runtime"), { recursive: true });
  const paths = below.filter((path) => path.endsWith(".py")).map((path) => `runtime/${path}`);
  const names = ["__init__.py", ...paths].map((path) => `edge_targets/${path}`).sort();
  return Promise.all(names.map(async (name) => [name, read(await readFile(join(root, name)))]));
}
