"""The contract that every builder keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from secretsmith.plugin.api import Builder, Traceable
from secretsmith.testing import BuilderContract, sample_context
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


def test_the_factory_may_be_called_again() -> None:
    """Each loader calls it, and there may be several in one process."""
    assert builder() is not builder()


def test_the_inputs_are_the_host_files(tmp_path: Path) -> None:
    context = sample_context(tmp_path)
    TestSystemdBuilder().declare(tmp_path, "web1", {"db": "secrets/web/db.age"})
    (tmp_path / "secretsmith.d/notes.txt").write_text("")
    made = builder()
    assert isinstance(made, Traceable)
    assert made.inputs(context) == ["secretsmith.d/web1.toml"]
