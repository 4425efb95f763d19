"""Findings to a web address, a POST each."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge_targets.runtime.errors import DataError, DeviceError, RecipeError
from edge_targets.streams.members import described
from edge_targets.streams.samples import Finding
from edge_targets.streams.sinks.base import Send, Sink

LATER = {408, 425, 429}  # of those that blame us, the ones that may pass
MAX_ANSWER = 64 << 10  # bytes


@dataclass(frozen=True)
class Webhook(Sink):
    """A JSON object; whatever answers 2xx has taken it. No redirects are followed."""

    url: str = described("http:// or https://, with a path.")
    token_file: str = described("A file with the token for `Authorization: Bearer`.", "")
    timeout_s: float = described("Seconds to wait for the answer.", 10.0, 0.1, 600)

    @contextmanager
    def open(self) -> Iterator[Send]:
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        parts = urlsplit(self.url)
        if parts.scheme not in kinds or not parts.hostname or not self.url.isascii():
            raise RecipeError(f"{self.url!r} is no address.", "Give http://HOST:PORT/PATH.")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Content-Type": "application/json", **self._authorization()}
        connection = kinds[parts.scheme](parts.hostname, parts.port, timeout=self.timeout_s)

        def send(finding: Finding) -> None:
            try:
                connection.request("POST", path, json.dumps(finding.to_json()).encode(), headers)
                answer = connection.getresponse()
                answer.read(MAX_ANSWER)
                if not answer.isclosed():
                    connection.close()  # more than anybody needs to say
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise DeviceError(
                    f"{parts.hostname} does not answer: {error or type(error).__name__}.",
                    "Is it on?",
                ) from error
            if 200 <= answer.status < 300:
                return
            told = f"{parts.hostname} answers {answer.status}."
            if 400 <= answer.status < 500 and answer.status not in LATER:
                raise DataError(told, "It would answer the same again.")
            raise DeviceError(told, "It is tried again.")

        try:
            yield send
        finally:
            connection.close()

    def _authorization(self) -> dict[str, str]:
        if not self.token_file:
            return {}
        try:
            token = Path(self.token_file).read_text().strip()
        except OSError as error:
            raise RecipeError(
                f"{self.token_file} cannot be read: {error.strerror}.", "Who may read it?"
            ) from error
        return {"Authorization": f"Bearer {token}"}
