"""A throw-away home of gpg with keys made at run time."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

# The Assuan protocol as gpg-agent speaks it with pinentry; the number is GPG_ERR_CANCELED of the source Pinentry.
_PINENTRY = """\
#!/bin/sh
echo "OK ready"
while read -r word rest; do
  case $word in
    GETPIN)
      if [ -s '{answer}' ]; then echo "D $(cat '{answer}')"; echo OK; else echo "ERR 83886179 Operation cancelled"; fi ;;
    BYE) echo OK; exit 0 ;;
    *) echo OK ;;
  esac
done
"""


@dataclass
class GnuPG:
    """A folder for $GNUPGHOME; :meth:`close` ends its agent, and no other."""

    home: Path
    gpg: str

    @classmethod
    def make(cls, folder: Path, gpg: str) -> GnuPG:
        """Make an empty home."""
        home = folder / "gnupg"
        home.mkdir(mode=0o700)
        # The agent would measure how many rounds a passphrase is worth, for seconds.
        (home / "gpg-agent.conf").write_text("s2k-count 65536\n")
        return cls(home, gpg)

    def run(self, *words: str, data: bytes = b"") -> bytes:
        """Run gpg in this home."""
        argv = [self.gpg, "--homedir", str(self.home), "--batch", "--quiet", *words]
        return subprocess.run(argv, input=data, capture_output=True, check=True, timeout=60).stdout

    def key(self, name: str, passphrase: str = "") -> str:
        """Make an ed25519 key with a cv25519 one to encrypt to; give its fingerprint."""
        made = ("--pinentry-mode", "loopback", "--passphrase", passphrase)
        self.run(
            *made, "--quick-gen-key", f"{name} <{name}@example.org>", "future-default", "default", "never"
        )
        listed = self.run("--list-keys", "--with-colons", f"{name}@example.org").decode().splitlines()
        return next(line.split(":")[9] for line in listed if line.startswith("fpr"))

    def encrypt(self, fingerprint: str, value: bytes) -> bytes:
        """Give an armored message."""
        return self.run("--trust-model", "always", "-r", fingerprint, "-ea", data=value)

    def forget(self) -> None:
        """Let the agent forget all passphrases."""
        self._control("--reload", "gpg-agent")

    def answer_with(self, passphrase: str) -> None:
        """Let a pinentry of our own answer every question of the agent: with "" it is cancelled."""
        answer, program = self.home / "answer", self.home / "pinentry"
        answer.write_text(passphrase)
        if program.exists():
            return
        program.write_text(_PINENTRY.format(answer=answer))
        program.chmod(0o755)
        with (self.home / "gpg-agent.conf").open("a") as file:
            file.write(f"pinentry-program {program}\n")
        self.close()  # a running agent would go on with the program that it knows

    def close(self) -> None:
        """End the agent of this home."""
        self._control("--kill", "all")

    def _control(self, *words: str) -> None:
        control = Path(self.gpg).with_name("gpgconf")
        subprocess.run([control, "--homedir", self.home, *words], check=False, capture_output=True)
