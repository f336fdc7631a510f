"""A fleet beside a store that the source `fake:` looks into."""

from __future__ import annotations

from dataclasses import dataclass

from fakesource import Store
from repositories import Fleet

from secretsmith.plugin.discovery import Entry
from secretsmith.plugin.loader import Loader


@dataclass
class Linking:
    """The fleet, whose commands find the source `fake:`, and the store that it looks into."""

    fleet: Fleet
    store: Store

    @property
    def loader(self) -> Loader:
        """A loader with `fake:` and the builders."""
        fake = Entry("secretsmith.sources", "fake", "fakesource:FakeSource", "fakesource", "1")
        return Loader([fake, *(entry for entry in Loader().entries if entry.group == "secretsmith.builders")])

    def declare(self, host: str, **secrets: str) -> None:
        """Write a host's file: NAME="FILE SOURCE", either may be "-"."""
        folder = self.fleet.root / "secretsmith.d"
        folder.mkdir(exist_ok=True)
        lines = []
        for name, words in secrets.items():
            file, source = words.split()
            lines += [f"[secrets.{name}]"]
            lines += [
                f'{key} = "{value}"' for key, value in (("file", file), ("source", source)) if value != "-"
            ]
        (folder / f"{host}.toml").write_text("\n".join(lines or ["[secrets]"]) + "\n")

    def link_of(self, path: str) -> tuple[str, str] | None:
        """Return source and maker of a link."""
        link = self.fleet.project().lock.links.get(path)
        return None if link is None else (link.source, link.by)

    def rules(self) -> dict[str, tuple[str, ...]]:
        """Return the rules of the build."""
        rules = self.fleet.project().registry.rules
        return {rule.pattern: rule.readers for rule in rules if rule.origin == "build"}

    def approvals(self) -> str:
        """Return what is approved, as text."""
        file = self.fleet.home / ".local/state/secretsmith/sources.json"
        return file.read_text() if file.exists() else ""
