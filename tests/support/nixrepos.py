"""Small Nix repositories for tests of the builder: hosts that are plain sets, without nixpkgs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

_HOSTS = """\
builtins.listToAttrs (map (file: {
  name = builtins.head (builtins.match "(.*)\\\\.nix" file);
  # What the module of secretsmith gives, as a plain set.
  value.config.secretsmith.manifest = import (./hosts + "/${file}");
}) (builtins.attrNames (builtins.readDir ./hosts)))
"""
FLAKE = f"{{\n  # hosts with secretsmith\n  outputs = {{ self }}: {{\n    nixosConfigurations = {_HOSTS.strip()};\n  }};\n}}\n"
DEFAULT = f"{{ }}:\n{{\n  nixosConfigurations = {_HOSTS.strip()};\n}}\n"
HIVE = f"{{\n  nodes = {_HOSTS.strip()};\n}}\n"
ENTRIES = {"flake.nix": FLAKE, "default.nix": DEFAULT, "hive.nix": HIVE}


def store_environ(root: Path) -> dict[str, str]:
    """The environment in which Nix keeps everything below ``root``, and would like to use the network."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(root / "home"),
        "NIX_STORE_DIR": str(root / "store"),
        "NIX_STATE_DIR": str(root / "var"),
        "NIX_LOCALSTATE_DIR": str(root / "var"),
        "NIX_LOG_DIR": str(root / "log"),
    }


def host_text(host: str, secrets: Mapping[str, str]) -> str:
    """The Nix text of a host with ``secrets`` (name → file), one a line."""
    lines = [
        f'    {{ name = "{name}"; id = "{file}"; format = "age"; source = "/nowhere"; }}'
        for name, file in secrets.items()
    ]
    return "\n".join(["{", f'  host = "{host}";', "  secrets = [", *lines, "  ];", "}", ""])


def declare(root: Path, entry: str, host: str, secrets: Mapping[str, str]) -> None:
    """Make ``root`` a Nix repository of the kind ``entry`` in which ``host`` declares ``secrets``."""
    (root / entry).write_text(ENTRIES[entry])
    (root / "hosts").mkdir(exist_ok=True)
    (root / "hosts" / f"{host}.nix").write_text(host_text(host, secrets))


def declaration_flake(
    root: Path, *secrets: Mapping[str, object], host: str = "web1", attribute: str = "web1"
) -> None:
    """Make a flake whose one host has a declaration as the module gives it, as JSON that the flake reads."""
    (root / "hosts.json").write_text(json.dumps({"name": host, "secrets": secrets}))
    (root / "flake.nix").write_text(
        "{ outputs = { self }: { nixosConfigurations."
        + attribute
        + ".config.secretsmith.declaration = builtins.fromJSON (builtins.readFile ./hosts.json); }; }\n"
    )


__all__ = ["ENTRIES", "FLAKE", "declaration_flake", "declare", "host_text", "store_environ"]
