"""What a host must say with the files of a bundle, and how the usual hosts are told to."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from edge_targets.runtime.errors import UsageError

CONNECT = "connect-src 'self'"
POLICY = (
    f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; {CONNECT}; "
    "worker-src 'self'; style-src 'self'; img-src 'self' data:; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; "
    # ours, a worker's for the libraries in it, and the one of LiteRT.js for its threads
    "trusted-types sanderling default emscripten#workerPolicy2 'allow-duplicates'; "
    "frame-ancestors 'none'"
)
"""As in the page's own <meta>, plus `frame-ancestors`, which browsers obey in a header only."""

HEADERS = {
    "content-security-policy": POLICY,
    # together these three isolate the page from every other origin
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # both are asked of the visitor, by a press of a button
    "permissions-policy": "camera=(self), microphone=(self)",
    # a redeployed model must be seen at once; entity tags keep the repeat visit cheap
    "cache-control": "no-cache",
}

MEDIA_TYPES = {
    # said here, because `mimetypes` answers differently from one system to the next and
    # browsers refuse a module or a wasm stream of the wrong type
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".zip": "application/zip",
    ".svg": "image/svg+xml",
    ".md": "text/markdown; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}

RECORDS = "v1/records"  # where telemetry goes, from the bundle's folder or from the collector
README = """\
{model} {version}, as a page for the browser, made by Sanderling {sanderling}.
Copy this whole folder to any web server, also below a path such as /models/{model}/.

On this machine      sanderling serve .
                     Opens at the address that it says; telemetry goes to the workspace.
                     `python -m http.server` does too, without compression and telemetry.

nginx                Copy this folder to where nginx looks for files.
                     Put `include /…/headers/nginx.conf;` into the `server` of your site;
                     below a path, into a `location /models/{model}/ {{ }}` in it.
                     nginx -t && systemctl reload nginx

Apache               Copy this folder below DocumentRoot.
                     Copy headers/apache.conf to .htaccess beside index.html; it needs
                     `AllowOverride FileInfo Indexes` and the modules headers, mime and rewrite.

Caddy                Copy this folder to the `root` of your site.
                     Put `import /…/headers/Caddyfile` into the block of your site, in the
                     place of its `file_server`; below a path, into a
                     `handle /models/{model}/* {{ }}` in it.
                     caddy reload

Netlify, Cloudflare  Copy headers/_headers to the top of what is published.
                     Below a path, put that path before each /* in it.
                     Publish this folder.

Browsers need https, or this very machine, for what works offline and for signatures.
bundle.json lists what a page fetches with its sha256, and is signed in bundle.sig; what only
hosts read (headers, .br, .gz, this file) it lists by name.
"""


def connecting(*collectors: str) -> str:
    """Whom the page may talk to, in the words of a policy."""
    return " ".join([CONNECT, *collectors])


def headers(*collectors: str) -> Mapping[str, str]:
    """What every answer says; telemetry may go to these origins beside its own."""
    policy = POLICY.replace(CONNECT, connecting(*collectors))
    return {**HEADERS, "content-security-policy": policy}


def origin_of(address: str) -> str:
    """The origin of a collector's address.

    Raises:
        UsageError: no browser could send there.
    """
    hint = "Write it like https://collector.example.org."
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise UsageError(f"{address!r} is not an address.", hint) from error
    host = parts.hostname or ""
    named = all(part.replace("-", "").isalnum() and part.isascii() for part in host.split("."))
    if parts.scheme not in ("http", "https") or not named or parts.username is not None:
        raise UsageError(f"{address!r} is not the address of a collector.", hint)
    if parts.query or parts.fragment or any(letter in parts.path for letter in " \"'<>;,\\"):
        raise UsageError(f"{address!r} has more than a collector's address.", hint)
    return f"{parts.scheme}://{host}{port}"


def snippets(*collectors: str) -> Mapping[str, str]:
    """For each usual host, what its configuration needs, by the name of the file."""
    said = {name.title(): text for name, text in headers(*collectors).items()}
    return {
        "nginx.conf": _nginx(said),
        "apache.conf": _apache(said),
        "Caddyfile": _caddy(said),
        "_headers": _published(said),
    }


def _types() -> Iterator[tuple[str, str]]:
    """Each media type with the endings that have it, as in `js mjs`."""
    by_type: dict[str, list[str]] = {}
    for suffix, name in MEDIA_TYPES.items():
        by_type.setdefault(name.partition(";")[0], []).append(suffix.removeprefix("."))
    for name, endings in by_type.items():
        yield name, " ".join(endings)


def _nginx(said: Mapping[str, str]) -> str:
    types = "".join(f"    {name} {endings};\n" for name, endings in _types())
    added = "".join(f'add_header {name} "{text}" always;\n' for name, text in said.items())
    return (
        # no `location` of its own: a site has one for / already, and nginx takes no second one
        "# For nginx: for the `server` of a site, or a `location /that/path/` in it.\n"
        f"types {{\n{types}}}\n"
        "default_type application/octet-stream;\n"
        "charset utf-8;\n"
        "gzip_static on;\n"
        "gzip_vary on;\n"
        "# With the module ngx_brotli, and without the # before it:\n"
        "#brotli_static on;\n"
        f"{added}"
    )


def _apache(said: Mapping[str, str]) -> str:
    types = "".join(
        f"AddType {name} {' '.join(f'.{one}' for one in endings.split())}\n"
        for name, endings in _types()
    )
    added = "".join(f'Header always set {name} "{text}"\n' for name, text in said.items())
    packed = "".join(
        f'RewriteCond "%{{HTTP:Accept-Encoding}}" "\\b{name}\\b"\n'
        f'RewriteCond "%{{REQUEST_FILENAME}}.{ending}" -f\n'
        f'RewriteRule "^(.+)$" "$1.{ending}" [L]\n'
        for ending, name in (("br", "br"), ("gz", "gzip"))
    )
    return (
        "# For Apache: beside index.html as .htaccess, or in the <Directory> of the bundle.\n"
        "DirectoryIndex index.html\n"
        f"{types}"
        "AddDefaultCharset utf-8\n"
        "RemoveType .gz\n"
        "RemoveLanguage .br\n"
        "AddEncoding br .br\n"
        "AddEncoding gzip .gz\n"
        "RewriteEngine On\n"
        f"{packed}"
        "Header append Vary Accept-Encoding\n"
        f"{added}"
    )


def _caddy(said: Mapping[str, str]) -> str:
    added = "".join(f'\t{name} "{text}"\n' for name, text in said.items())
    return (
        "# For Caddy: for the block of a site with a `root`, or a `handle /that/path/*` in it.\n"
        # file_server says it of what it sends compressed alone
        f"header {{\n{added}\t?Vary Accept-Encoding\n}}\n"
        "file_server {\n\tprecompressed br gzip\n}\n"
    )


def _published(said: Mapping[str, str]) -> str:
    """What Netlify and Cloudflare Pages read."""
    rules = ["/*", *(f"  {name}: {text}" for name, text in said.items())]
    for suffix in (".mjs", ".wasm"):  # the others have their type there already
        rules += [f"/*{suffix}", f"  Content-Type: {MEDIA_TYPES[suffix]}"]
    return "\n".join(rules) + "\n"
