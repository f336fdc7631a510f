"""The contract that every builder keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from secretsmith.plugin.api import Builder
from secretsmith.testing import BuilderContract
from secretsmith_systemd import builder


class TestSystemdBuilder(BuilderContract):
    def builder(self) -> Builder:
        return builder()

    def declare(self, root: Path, host: str, secrets: Mapping[str, str]) -> None:
        folder = root / "secretsmith.d"
        folder.mkdir(exist_ok=True)
        tables = [f'[secrets.{name}]\nfile = "{file}"\n' for name, file in secrets.items()]
        (folder / f"{host}.toml").write_text("\n".join(tables))

    def spoil(self, root: Path, host: str) -> None:
        path = root / "secretsmith.d" / f"{host}.toml"
        path.write_text(path.read_text() + "\nowner = postgres\n")
