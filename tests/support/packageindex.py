"""A package index on loopback that wants a user name and a password: what pip reads and twine writes."""

from __future__ import annotations

import base64
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

WHEEL = "canary_package-1.0-py3-none-any.whl"
_METADATA = "Metadata-Version: 2.1\nName: canary-package\nVersion: 1.0\nSummary: x\n"
_TAGS = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_wheel(folder: Path) -> Path:
    """Make the smallest wheel."""
    path = folder / WHEEL
    facts = "canary_package-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("canary_package.py", "")
        wheel.writestr(f"{facts}/METADATA", _METADATA)
        wheel.writestr(f"{facts}/WHEEL", _TAGS)
        wheel.writestr(f"{facts}/RECORD", f"canary_package.py,,\n{facts}/METADATA,,\n{facts}/WHEEL,,\n")
    return path


class PackageIndex:
    """Use as a context manager. ``given`` are the ``user:password`` pairs that came, ``uploads`` counts accepted ones."""

    def __init__(self, folder: Path, login: str) -> None:
        self.given: list[str] = []
        self.uploads = 0
        wheel = make_wheel(folder).read_bytes()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def _allowed(self) -> bool:
                words = self.headers.get("Authorization", "").split()
                came = base64.b64decode(words[1]).decode() if len(words) == 2 else ""
                if came:
                    index.given.append(came)
                if came == login:
                    return True
                self._answer(401, b"no", "text/plain")
                return False

            def do_GET(self) -> None:
                if not self._allowed():
                    return
                if self.path.endswith(".whl"):
                    self._answer(200, wheel, "application/octet-stream")
                else:
                    self._answer(200, f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode(), "text/html")

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                if self._allowed():
                    index.uploads += 1
                    self._answer(200, b"", "text/plain")

            def _answer(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def place(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> PackageIndex:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


__all__ = ["WHEEL", "PackageIndex", "make_wheel"]
