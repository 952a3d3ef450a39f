"""Talk to a running ComfyUI, here or elsewhere: only what every version from 0.3.64 on answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import GenartError
from ..files import written

_SECONDS = 60.0
_CHUNK = 1 << 20  # bytes
_DEFAULT_PORT = 8188
_HERE = ("127.0.0.1", "localhost")


def reason(error: Exception) -> str:
    """Why nothing came over the network, in a few words on one line."""
    if isinstance(error, http.client.HTTPException):  # its text may be whatever bytes came
        return f"{type(error).__name__}: that is no web server, or it broke off"
    return str(getattr(error, "reason", error))


class Server:
    """A running ComfyUI.

    Args:
        url: `http://host:port`, or `host:port`; the port is 8188 where none is given.

    Raises:
        GenartError: that is no such address.
    """

    def __init__(self, url: str) -> None:
        sentence = f"{url} is no ComfyUI address; write it as http://127.0.0.1:8188."
        try:
            parts = urllib.parse.urlsplit(url if "//" in url else f"http://{url}")
            port = parts.port or _DEFAULT_PORT
        except ValueError as error:
            raise GenartError(sentence) from error
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
            raise GenartError(sentence)
        self.host, self.port = parts.hostname, port
        self.url = f"http://{self.host}:{self.port}"
        # A proxy is for the world outside, never for this machine.
        proxies = urllib.request.ProxyHandler({} if self.host in _HERE else None)
        self._opener = urllib.request.build_opener(proxies)

    def answers(self) -> bool:
        """Whether a ComfyUI is there."""
        try:
            return "system" in self.get("/system_stats", seconds=5)
        except (GenartError, TypeError):
            return False

    def get(self, path: str, seconds: float = _SECONDS) -> Any:
        """The JSON at a path."""
        return self._json(urllib.request.Request(self.url + path), seconds)

    def post(self, path: str, data: Any) -> Any:
        """Send JSON to a path; the JSON it answers, or None."""
        body = json.dumps(data).encode()
        headers = {"Content-Type": "application/json"}
        return self._json(urllib.request.Request(self.url + path, body, headers), _SECONDS)

    def _json(self, request: urllib.request.Request, seconds: float) -> Any:
        try:
            with self._opener.open(request, timeout=seconds) as reply:
                text = reply.read()
            return json.loads(text) if text.strip() else None
        except urllib.error.HTTPError as error:
            raise GenartError(
                f"{request.full_url} answered {error.code} {error.reason}."
            ) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise GenartError(f"No ComfyUI answers at {self.url} ({reason(error)}).") from error

    def file(self, item: dict[str, str], target: Path) -> None:
        """Fetch an output, as the history names it, to a path of this machine.

        Raises:
            GenartError: the server no longer has it, breaks off, or it cannot be written. Then
                `target` is as it was.
        """
        with written(target) as partial, partial.open("wb") as file:
            for chunk in self._chunks(item):
                file.write(chunk)

    def _chunks(self, item: dict[str, str]) -> Iterator[bytes]:
        """The bytes of an output, all of them or an error; errors of the network only."""
        names = {key: item.get(key) or "" for key in ("filename", "subfolder", "type")}
        request, got = f"{self.url}/view?{urllib.parse.urlencode(names)}", 0
        try:
            with self._opener.open(request, timeout=_SECONDS) as reply:
                while chunk := reply.read(_CHUNK):
                    got += len(chunk)
                    yield chunk
                if int(reply.headers.get("Content-Length", got)) != got:
                    raise http.client.IncompleteRead(b"")
        except urllib.error.HTTPError as error:
            raise GenartError(
                f"The server no longer has {names['filename']}, which it remembers having made "
                f"({error.code}); restart it or change a value, then run this again."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise GenartError(
                f"Cannot fetch {names['filename']} from {self.url} ({reason(error)})."
            ) from error

    def outputs(self, prompt_id: str) -> dict[str, Any]:
        """What each node of a finished prompt reported; cached nodes too."""
        return dict(self._history(prompt_id).get("outputs", {}))

    def executed(self, prompt_id: str) -> set[str]:
        """Which of a finished prompt's output nodes ComfyUI took: those it finds amiss it drops."""
        return set(self._history(prompt_id).get("prompt", [None] * 4 + [()])[4])

    def _history(self, prompt_id: str) -> dict[str, Any]:
        return dict(self.get(f"/history/{prompt_id}").get(prompt_id, {}))

    def interrupt(self, prompt_id: str) -> None:
        """Take a prompt off the queue or stop it where it runs; nobody else's is touched."""
        if not prompt_id:  # ComfyUI would stop whatever runs
            return
        with contextlib.suppress(GenartError):
            self.post("/queue", {"delete": [prompt_id]})
            self.post("/interrupt", {"prompt_id": prompt_id})
