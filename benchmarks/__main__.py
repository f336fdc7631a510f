"""``python -m benchmarks [WORD…]``: the cases whose name holds one of the words, or all of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.measure import Command, Row, compare

RECIPIENTS = 5
SECRETSMITH = [sys.executable, "-c", "from secretsmith.cli.door import main; raise SystemExit(main())"]
ACTIVATE = [sys.executable, "-c", "from secretsmith.cli.activate import main; raise SystemExit(main())"]

# What agenix's module does at activation, a secret at a time (modules/age.nix: installSecret), and what `agenix -r` does a
# file at a time (pkgs/agenix.sh: edit with EDITOR=:), with the same age program and recipients.
AGENIX_ACTIVATE = """
set -e; rm -rf "$OUT"; mkdir -p "$OUT"
for file in "$FILES"/*.age; do
  name=$(basename "$file"); tmp="$OUT/$name.tmp"
  ( umask u=r,g=,o=; age --decrypt -i "$KEY" -o "$tmp" "$file" )
  chmod 0400 "$tmp"; chown 0:0 "$tmp"; mv -f "$tmp" "$OUT/$name"
done
"""
AGENIX_REKEY = """
set -e
for file in "$FILES"/*.age; do
  work=$(mktemp -d); age --decrypt -i "$KEY" -o "$work/clear" "$file"
  age --encrypt -R "$RECIPIENTS" -o "$work/new" "$work/clear"; mv -f "$work/new" "$file"; rm -rf "$work"
done
"""


class Fleet:
    """A repository of ``count`` secrets with five readers each, made by the program itself."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.root, self.count = folder, folder / "fleet", count
        self.root.mkdir(parents=True)
        lines = [self._key(f"key{number}") for number in range(RECIPIENTS)]
        (folder / "recipients").write_text("\n".join(lines) + "\n")
        self.env: Mapping[str, str] = {
            **os.environ,
            "HOME": str(folder),
            "SECRETSMITH_IDENTITY": str(folder / "key0"),
            "FILES": str(self.root / "secrets"),
            "KEY": str(folder / "key0"),
            "OUT": str(folder / "peer"),
            "RECIPIENTS": str(folder / "recipients"),
        }
        self.run("init", "--user", "alice", "--key", lines[0])
        for number, line in enumerate(lines[1:]):
            self.run("host", "add", f"host{number}", "--key", line)
        self.run("grant", "secrets/**", "--to", ",".join(f"host{number}" for number in range(RECIPIENTS - 1)))
        self.run("set", "secrets/0.age", value=b"a value of a usual length")
        for number in range(1, count):
            shutil.copy(self.root / "secrets/0.age", self.root / f"secrets/{number}.age")

    def _key(self, name: str) -> str:
        path = self.folder / name
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True
        )
        return path.with_suffix(".pub").read_text().strip()

    def run(self, *words: str, value: bytes = b"") -> None:
        """Run secretsmith in the repository."""
        subprocess.run(
            [*SECRETSMITH, *words], cwd=self.root, env=self.env, input=value, check=True, capture_output=True
        )

    def manifest(self, base: Path) -> Path:
        """Write a manifest of all secrets, installed below ``base``."""
        base.mkdir()
        secrets = [
            {"name": str(number), "source": str(self.root / f"secrets/{number}.age"), "format": "age"}
            for number in range(self.count)
        ]
        path = self.folder / "manifest.json"
        content = {
            "version": 1,
            "host": "host0",
            "directory": str(base / "secrets"),
            "generations": str(base / "secrets.d"),
            "keep": 2,
            "identities": [str(self.folder / "key1")],
            "secrets": secrets,
        }
        path.write_text(json.dumps(content))
        return path


def show(folder: Path) -> Row:
    """One value."""
    fleet = Fleet(folder, 1)
    path = str(fleet.root / "secrets/0.age")
    ours = Command([*SECRETSMITH, "-C", str(fleet.root), "show", "secrets/0.age"], fleet.env)
    return compare(
        "show one value / age -d", ours, Command(["age", "-d", "-i", str(folder / "key0"), path], fleet.env)
    )


def activate(folder: Path) -> Row:
    """A hundred secrets, from nothing."""
    fleet = Fleet(folder, 100)
    base = folder / "run"
    manifest = fleet.manifest(base)
    options = ["--status", str(folder / "status.json"), "--plain-folder", "--owner-self"]

    def reset() -> None:
        shutil.rmtree(base)
        base.mkdir()

    ours = Command([*ACTIVATE, *options, str(manifest)], fleet.env, reset)
    return compare(
        "activate 100 secrets / agenix's way", ours, Command(["bash", "-c", AGENIX_ACTIVATE], fleet.env)
    )


def rekey(folder: Path) -> Row:
    """Fifty files, one reader replaced."""
    fleet = Fleet(folder, 50)
    kept = folder / "kept"
    shutil.copytree(fleet.root, kept)
    fleet.run("host", "retire", "host0", "--yes", "--no-rekey")
    registry = (fleet.root / "secretsmith.toml").read_bytes()

    def reset() -> None:
        shutil.rmtree(fleet.root)
        shutil.copytree(kept, fleet.root)
        (fleet.root / "secretsmith.toml").write_bytes(registry)

    ours = Command([*SECRETSMITH, "-C", str(fleet.root), "rekey", "--accept", "all"], fleet.env, reset)
    return compare("rekey 50 files / agenix -r's way", ours, Command(["bash", "-c", AGENIX_REKEY], fleet.env))


CASES: tuple[Callable[[Path], Row], ...] = (show, activate, rekey)


def main() -> int:
    """Run the cases and print medians and ratios (peer's time divided by ours)."""
    missing = [name for name in ("age", "ssh-keygen", "bash") if shutil.which(name) is None]
    if missing:
        print(f"benchmarks need the peers {', '.join(missing)}", file=sys.stderr)
        return 1
    words = sys.argv[1:]
    print(f"{'work':40} {'ours':>9} {'peer':>9}  ratio (low to high)")
    for case in CASES:
        if words and not any(word in case.__name__ for word in words):
            continue
        with tempfile.TemporaryDirectory(prefix="secretsmith-bench-") as folder:
            row = case(Path(folder) / "case")
        print(
            f"{row.work:40} {row.ours * 1000:6.0f} ms {row.peer * 1000:6.0f} ms  {row.ratio:.1f}× ({row.low:.1f} to {row.high:.1f})"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
