"""Talk to a running ComfyUI, here or elsewhere: only what every version from 0.3.64 on answers."""

from __future__ import annotations

import contextlib
import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from ..errors import GenartError

_SECONDS = 60.0
_DEFAULT_PORT = 8188
_HERE = ("127.0.0.1", "localhost")


class Server:
    """A running ComfyUI.

    Args:
        url: `http://host:port`, or `host:port`; the port is 8188 where none is given.

    Raises:
        GenartError: that is no such address.
    """

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url if "//" in url else f"http://{url}")
        try:
            port = parts.port or _DEFAULT_PORT
        except ValueError:
            port = 0
        if parts.scheme != "http" or not parts.hostname or not port or parts.path.strip("/"):
            raise GenartError(f"{url} is no ComfyUI address; write it as http://127.0.0.1:8188.")
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
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise GenartError(f"No ComfyUI answers at {self.url} ({reason}).") from error

    def file(self, item: dict[str, str], target: Path) -> None:
        """Fetch an output, as the history names it, to a path of this machine.

        Written under a temporary name and renamed, so that `target` is whole or not there.

        Raises:
            GenartError: the server no longer has it, or it cannot be written.
        """
        names = {key: item.get(key) or "" for key in ("filename", "subfolder", "type")}
        request = f"{self.url}/view?{urllib.parse.urlencode(names)}"
        partial = target.with_name(f".{target.name}.part")
        try:
            with self._opener.open(request, timeout=_SECONDS) as reply, partial.open("wb") as file:
                shutil.copyfileobj(reply, file)
            partial.replace(target)
        except urllib.error.HTTPError as error:
            raise GenartError(
                f"The server no longer has {names['filename']}, which it remembers having made "
                f"({error.code}); restart it or change a value, then run this again."
            ) from error
        except OSError as error:
            raise GenartError(f"Cannot fetch {names['filename']} to {target}: {error}.") from error
        finally:
            partial.unlink(missing_ok=True)

    def outputs(self, prompt_id: str) -> dict[str, Any]:
        """What each node of a finished prompt reported; cached nodes too."""
        return dict(self.get(f"/history/{prompt_id}").get(prompt_id, {}).get("outputs", {}))

    def interrupt(self, prompt_id: str) -> None:
        """Take a prompt off the queue or stop it where it runs; nobody else's is touched."""
        with contextlib.suppress(GenartError):
            self.post("/queue", {"delete": [prompt_id]})
            self.post("/interrupt", {"prompt_id": prompt_id})
