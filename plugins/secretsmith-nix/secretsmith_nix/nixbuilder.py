"""The builder: the configurations of a flake, hive or default.nix in, declarations and manifests out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.manifest import Manifest
from secretsmith.plugin.api import HostDeclaration, PluginContext
from secretsmith_nix.answers import declaration_of, known_hosts
from secretsmith_nix.completion import completed
from secretsmith_nix.evaluation import ask
from secretsmith_nix.layout import ENTRIES, Layout, input_files, layout_of


class NixBuilder:
    """Asks Nix for ``config.secretsmith`` of every configuration; no key, no build, no network."""

    api_version = 1

    def detect(self, context: PluginContext) -> bool:
        """Say whether a Nix file at the root names secretsmith."""
        return layout_of(context) is not None

    def hosts(self, context: PluginContext) -> Sequence[HostDeclaration]:
        """Return the hosts whose configuration has the module, with what they declare."""
        layout = _layout(context)
        answers = known_hosts(ask(context, layout, None, str(context.root)))
        return [declaration_of(name, answers[name]) for name in sorted(answers)]

    def inputs(self, context: PluginContext) -> Sequence[str]:
        """Return the Nix, JSON and TOML files that an evaluation may read."""
        layout = layout_of(context)
        return [] if layout is None else input_files(context, layout)

    def manifests(
        self, context: PluginContext, hosts: Sequence[str], source_root: str | None
    ) -> Mapping[str, Manifest]:
        """Return the manifests of ``hosts``; sources lie below ``source_root``, or in this checkout."""
        folder = source_root or str(context.root)
        layout = _layout(context)
        answers = known_hosts(ask(context, layout, hosts, folder))
        return {name: completed(context, name, _manifest(layout, answers, name), folder) for name in hosts}


def _layout(context: PluginContext) -> Layout:
    layout = layout_of(context)
    if layout is None:
        raise NotFound(
            Code.NOT_FOUND,
            f"no {', '.join(ENTRIES[:-1])} or {ENTRIES[-1]} here that names secretsmith",
            hints=("add nixosModules.default of plugins/secretsmith-nix to the hosts",),
        )
    return layout


def _manifest(layout: Layout, answers: Mapping[str, Mapping[str, Any]], host: str) -> Mapping[str, Any]:
    if host not in answers:
        raise NotFound(
            Code.NOT_FOUND,
            f"{layout.entry}: no configuration is for host {host}",
            hints=(f"hosts there: {', '.join(sorted(answers)) or 'none'}", "secretsmith build hosts"),
        )
    manifest = answers[host].get("manifest")
    if not isinstance(manifest, dict):
        raise RefusedInput(Code.MANIFEST, f"{layout.entry}: host {host} has no manifest")
    return manifest


__all__ = ["NixBuilder"]
