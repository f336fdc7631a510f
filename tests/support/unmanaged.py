"""Files that no registry knows, with the keys of the sops vectors and the real sops beside us."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sopsvectors import key_file, recipient

from secretsmith.identities.ring import IdentityRing
from secretsmith.interaction import NoInteraction

A, B, C = (recipient(name) for name in ("a.txt", "b.txt", "c.txt"))
SSH = recipient("ssh_host_ed25519_key")

CLEAR = {
    "app.yaml": b"# about\nmail:\n  smtp: hunter2\n  port: 25 # usual\nhosts:\n  - a\nnote_unencrypted: open\n",
    "app.json": b'{\n  "mail": {"smtp": "hunter2", "port": 25},\n  "note_unencrypted": "open"\n}\n',
    "app.env": b"# about\nSMTP=hunter2\nPORT=25\n",
    "app.ini": b"; about\n[mail]\nsmtp = hunter2\nport = 25\n",
    "app.bin": b"\x00hunter2\xff\n",
}


@dataclass
class Place:
    """A folder outside of every repository."""

    folder: Path
    sops: str

    def ring(self, *names: str) -> IdentityRing:
        """The keys of ``a.txt`` and others of the vectors."""
        paths = [key_file(name if "." in name or "_" in name else f"{name}.txt") for name in names or ("a",)]
        return IdentityRing.of_files(paths, NoInteraction())

    def environ(self, **variables: str) -> dict[str, str]:
        return {"HOME": str(self.folder), "PATH": os.environ["PATH"], **variables}

    def config(self, text: str) -> None:
        (self.folder / ".sops.yaml").write_text(text)

    def run_sops(self, *words: str, key: str = "a", stdin: bytes = b"", code: int | None = 0) -> bytes:
        done = subprocess.run(
            [self.sops, *words],
            cwd=self.folder,
            env=self.environ(SOPS_AGE_KEY_FILE=str(key_file(f"{key}.txt"))),
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert code is None or done.returncode == code, done.stderr.decode()
        return done.stdout

    def sealed(self, name: str, *options: str) -> Path:
        """A document made by the real sops, for A unless ``options`` say otherwise."""
        path = self.folder / name
        path.write_bytes(CLEAR[name])
        if (
            not any(option.startswith("--age") for option in options)
            and not (self.folder / ".sops.yaml").exists()
        ):
            options = ("--age", A, *options)
        self.run_sops("encrypt", *options, "--in-place", name)
        return path
