"""The workstation's end of a deploy: the host's program, the orders and the answers that go over an open connection."""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from secretsmith.errors import Code, Conflict, Interrupted, NotFound, RemoteFailure, SecretsmithError
from secretsmith.operations.deploy.facts import Facts, clipped, facts_of, python_of, read_answer
from secretsmith.operations.deploy.refusals import ssh_failure
from secretsmith.operations.deploy.remote.channel import MAX_LINE, PROTOCOL

Hear = Callable[[str, str], None]
"""Gets what the host's programs write, line by line: the stream ("out" or "err"), and the line."""

_REMOTE: Final = "secretsmith.operations.deploy.remote"
_MODULES: Final = ("channel", "folders", "trees", "venvs", "main")
# Plain enough for every Python 3, so that one that is too old can still say so.
_LOADER: Final = """\
import json, sys, types
if sys.version_info < (3, 11):
    print("\\n" + json.dumps({"is": "hello", "protocol": 0, "python": list(sys.version_info[:2])}))
    sys.exit(0)
for name, text in json.loads(b.read(int(b.readline()))):
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, name, "exec"), module.__dict__)
sys.modules[name].main(b, sys.stdout.buffer)
"""
_MAX_ASIDE: Final = 64 * 1024
_MAX_SAID: Final = 32 * 1024 * 1024  # in answer to one order; a report of ten thousand secrets is two
_MAX_HINTS: Final = 10
HELLO_SECONDS: Final = 120.0
_REFUSALS: Final[Mapping[str, type[SecretsmithError]]] = {
    Code.LOCKED: Conflict,
    Code.NOT_FOUND: NotFound,
    Code.SSH: RemoteFailure,
}


class Connection:
    """An open connection, behind the hello."""

    def __init__(
        self, name: str, address: str, process: subprocess.Popen[bytes], patience: float | None = None
    ) -> None:
        """``patience``: seconds until the hello, when nobody is there who could be asked for something, or lose theirs."""
        self._name = name
        self._address = address
        self._process = process
        self._errors = bytearray()
        self._aside = ""
        self._patience = patience
        self._drain = threading.Thread(target=self._collect, daemon=True)
        self._drain.start()

    def start(self) -> Facts:
        """Send the host's side, and return what it says of itself.

        Raises:
            HostKeyChanged: it shows another key than the registered one.
            RemoteFailure: it cannot be reached, or lets nobody in.
            SecretsmithError: UNSUPPORTED, python3 is missing there or too old.
        """
        modules = json.dumps([[f"{_REMOTE}.{name}", _source(name)] for name in _MODULES]).encode()
        loader = _LOADER.encode()
        self._send(b"%d\n" % len(loader), loader, b"%d\n" % len(modules), modules)
        hello = self._hello()
        try:
            major, minor = python_of(hello)
            if hello.get("protocol") != PROTOCOL:
                raise SecretsmithError(
                    Code.UNSUPPORTED,
                    f"{self._name} has Python {major}.{minor}; secretsmith needs 3.11 or newer there",
                    hints=(
                        "Debian 12 and Ubuntu 24.04 have it; else install one that root's search path"
                        " finds first, by the name python3",
                    ),
                )
            return facts_of(hello)
        except ValueError:
            raise self._nonsense() from None

    def order(self, what: str, files: Iterable[tuple[str, bytes]], hear: Hear, **members: object) -> int:
        """Send an order with its files, pass on what the host's programs say, and return the exit code that it ends with.

        Raises:
            SecretsmithError: the host refuses, with its own words.
            RemoteFailure: the connection ended before the answer.
            Interrupted: by the user, when the host had it all already.
        """
        sent = list(files)
        listed = [[path, len(data)] for path, data in sent]
        line = json.dumps({"do": what, "files": listed, **members}).encode() + b"\n"
        if len(line) > MAX_LINE:
            raise SecretsmithError(Code.TOO_BIG, f"{self._name}: too many files for one deploy")
        self._send(line, *(data for _, data in sent))
        try:
            return self._hear(hear)
        except KeyboardInterrupt:
            raise Interrupted(
                Code.INTERRUPTED,
                f"{self._name}: interrupted here; what was begun there is brought to its end",
                hints=self._look(),
            ) from None

    def _hear(self, hear: Hear) -> int:
        for answer in self._answers():
            kind = answer.get("is")
            if kind == "said":
                hear(str(answer.get("stream")), str(answer.get("text")))
            elif kind == "done" and isinstance(answer.get("exit"), int):
                return int(answer["exit"])
            elif kind == "refused":
                raise self._refused(answer)
        self.close()
        last = self._last()
        why = f" ({last})" if last else ""
        raise RemoteFailure(
            Code.SSH,
            f"{self._name}: the connection ended before the answer{why}; what was begun there is brought to its end",
            hints=self._look(),
        )

    def _look(self) -> tuple[str, ...]:
        return (f"look there: secretsmith status; or deploy again: secretsmith deploy {self._name}",)

    def _refused(self, answer: Mapping[str, Any]) -> SecretsmithError:
        code, hints = answer.get("code"), answer.get("hints")
        known = Code(code) if isinstance(code, str) and code in set(Code) else Code.REMOTE
        said = [clipped(hint) for hint in hints[:_MAX_HINTS]] if isinstance(hints, list) else []
        kind = _REFUSALS.get(known, SecretsmithError)
        return kind(known, f"{self._name}: {clipped(answer.get('message'))}", hints=said)

    def _send(self, *parts: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  (PIPE was given)
        # Who hung up says why on the other streams.
        with suppress(OSError):
            for part in parts:
                self._process.stdin.write(part)
            self._process.stdin.flush()

    def _hello(self) -> dict[str, Any]:
        """Return the hello; what a shell's start-up files print before it is passed over."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(self._patience or 0, give_up)
        timer.daemon = True
        if self._patience is not None:
            timer.start()
        printed = 0
        try:
            for line in self._lines(2 * MAX_LINE):
                answer = read_answer(line)
                if answer is not None and answer.get("is") == "hello":
                    return answer
                printed += len(line)
                if printed > _MAX_ASIDE:
                    self.abandon()
                    raise self._nonsense()
                self._aside = line.decode("utf-8", "replace").strip() or self._aside
        finally:
            timer.cancel()
        self.close()
        if late.is_set():
            raise RemoteFailure(
                Code.SSH,
                f"{self._name}: no answer in {self._patience:g} s",
                hints=(f"ssh -v {shlex.quote(self._address)}",),
            )
        raise ssh_failure(self._name, self._address, self._process.returncode, self._said(), self._aside)

    def _answers(self) -> Iterator[dict[str, Any]]:
        for line in self._lines(_MAX_SAID):
            answer = read_answer(line)
            if answer is None:
                raise self._nonsense()
            yield answer

    def _lines(self, most: int) -> Iterator[bytes]:
        """Yield lines until the end; more than ``most`` bytes are nothing that a deploy has to say."""
        assert self._process.stdout is not None  # noqa: S101  (PIPE was given)
        while line := self._process.stdout.readline(min(most + 1, MAX_LINE)):
            most -= len(line)
            if most < 0:
                self.abandon()
                raise self._nonsense()
            yield line

    def _nonsense(self) -> SecretsmithError:
        return SecretsmithError(Code.REMOTE, f"{self._name} answers with something that no deploy says")

    def _collect(self) -> None:
        assert self._process.stderr is not None  # noqa: S101  (PIPE was given)
        while part := self._process.stderr.read1(4096):  # type: ignore[attr-defined]
            self._errors += part[: _MAX_ASIDE - len(self._errors)]

    def _said(self) -> str:
        return bytes(self._errors).decode("utf-8", "replace")

    def _last(self) -> str:
        lines = [line.strip() for line in self._said().splitlines() if line.strip()]
        return clipped(lines[-1]) if lines else ""

    def abandon(self) -> None:
        """End ssh at once: closing what it does not read from any more could wait for ever."""
        if self._process.poll() is None:
            self._process.terminate()

    def close(self) -> None:
        """End the connection and wait for ssh."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # A ProxyCommand that lives on holds the stream; closing it would wait for the thread that reads.
        self._drain.join(2)
        if self._process.stderr is not None and not self._drain.is_alive():
            self._process.stderr.close()


def _source(name: str) -> str:
    found = importlib.util.find_spec(f"{_REMOTE}.{name}")
    loader: Any = None if found is None else found.loader
    text: str = loader.get_source(f"{_REMOTE}.{name}")
    return text


__all__ = ["HELLO_SECONDS", "Connection", "Hear"]
