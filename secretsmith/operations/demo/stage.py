"""The stage of the demo: a folder in RAM, keys, and a way to run commands in front of the audience."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from secretsmith.crypto.sshkeygen import generate_ssh_key
from secretsmith.errors import Code, SecretsmithError

_PROGRAMS = {
    "secretsmith": "from secretsmith.cli.door import main",
    "secretsmith-activate": "from secretsmith.cli.activate import main",
}


class Stage:
    """Runs commands below ``folder`` and says what it runs and what they print.

    ``machines`` holds what belongs to the hosts; ``say`` gets one line at a time.
    """

    def __init__(self, folder: Path, machines: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.machines = machines
        self.fleet = folder / "fleet"
        self.home = folder / "home"
        self._say = say
        # In RAM like all of the stage: where alice's editor gets its plaintext.
        self.runtime = folder / "runtime"
        for made in (self.fleet, self.home / ".ssh", self.runtime):
            made.mkdir(parents=True)
            made.chmod(0o700)

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment of alice: nothing of whoever runs the demo but the paths of programs."""
        keep = {
            name: os.environ[name]
            for name in ("PATH", "PYTHONPATH", "LANG", "NO_COLOR")
            if name in os.environ
        }
        author = {f"GIT_{role}_{field}": value for role in ("AUTHOR", "COMMITTER") for field, value in _ALICE}
        own = {"HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.runtime), "USER": "alice"}
        return {**keep, **author, **own, "GIT_CONFIG_NOSYSTEM": "1"}

    def title(self, text: str) -> None:
        """Announce the next scene."""
        self._say("")
        self._say(f"== {text}")

    def remark(self, text: str) -> None:
        """Say something that no command printed."""
        self._say(f"   {text}")

    def run(
        self,
        *argv: str,
        stdin: bytes | None = None,
        expect: int = 0,
        shown: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run a command in the fleet's repository as alice, show it and its output, and return its standard output.

        Raises:
            SecretsmithError: it ended with another exit code than ``expect``.
        """
        self._say(f"$ {shown or shlex.join(argv)}")
        done = self._execute(argv, stdin or b"", env or {})
        for line in (done.stdout + done.stderr).decode(errors="replace").splitlines():
            self._say(f"  {line}".replace(str(self.folder), "…").replace(str(self.machines), "…"))
        if done.returncode != expect:
            raise SecretsmithError(
                Code.ERROR, f"the demo stops: {argv[0]} ended with {done.returncode} instead of {expect}"
            )
        if expect:
            self._say(f"  (exit {expect}, as it should)")
        return done.stdout

    def ask(self, *argv: str) -> bytes:
        """Run a command behind the stage and return its standard output. Raises as :meth:`run`."""
        done = self._execute(argv, b"", {})
        if done.returncode != 0:
            raise SecretsmithError(
                Code.ERROR, f"the demo stops: {shlex.join(argv)} ended with {done.returncode}"
            )
        return done.stdout

    def _execute(
        self, argv: Sequence[str], stdin: bytes, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        environ = {**self.environ, **env}
        return subprocess.run(
            _real(argv), cwd=self.fleet, env=environ, input=stdin, capture_output=True, check=False
        )

    def make_key(self, path: Path, comment: str) -> str:
        """Make an ed25519 key pair at ``path`` and return its public line."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if keygen := shutil.which("ssh-keygen"):
            options = ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
            subprocess.run([keygen, *options], check=True, stdin=subprocess.DEVNULL, capture_output=True)
        else:
            private, public = generate_ssh_key(comment)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(private.expose())
            path.with_name(f"{path.name}.pub").write_text(f"{public}\n")
        return path.with_name(f"{path.name}.pub").read_text().strip()


_ALICE = (("NAME", "alice"), ("EMAIL", "alice@example.org"))


def _real(argv: Sequence[str]) -> list[str]:
    program, *rest = argv
    if program in _PROGRAMS:
        # The same interpreter and package as the demo itself, whatever else is on PATH.
        return [sys.executable, "-c", f"{_PROGRAMS[program]}; raise SystemExit(main())", *rest]
    return [program, *rest]


__all__ = ["Stage"]
