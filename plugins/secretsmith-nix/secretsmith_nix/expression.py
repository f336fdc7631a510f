"""The Nix text that all hosts are asked with, once: what each declares, or the manifests of some of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Each configuration with the module gives its name in the registry and either its declaration or its manifest. A flake may also
# have `config.secretsmith.manifest` as a plain attrset, without the module. Nothing else of a configuration is evaluated.
_ASK = """
{ hosts, folder }: configurations:
builtins.concatMap (attribute:
  let
    config = configurations.${attribute}.config or { };
    given = config.secretsmith or null;
    declaration = given.declaration or given.evaluated.declaration or null;
    name = declaration.name or given.manifest.host;
    manifestAt = given.evaluated.manifestAt or (_: given.manifest);
  in
  if given == null || !(given ? manifest || declaration != null) then [ ]
  else [ ({ inherit attribute name; } // (
    if hosts == null then (if declaration != null then { inherit declaration; } else { inherit (given) manifest; })
    else if builtins.elem name hosts then { manifest = manifestAt folder; }
    else { }
  )) ]
) (builtins.attrNames configurations)
"""

# What a default.nix or hive.nix may be: a function whose parameters all have defaults, to a set with configurations.
_CONFIGURATIONS = """
file:
let
  given = import file;
  made = if builtins.isFunction given then given { } else given;
in
made.nixosConfigurations or made.nodes or made.colmenaHive.nodes or (throw
  "secretsmith: ${baseNameOf file} has no nixosConfigurations and no nodes")
"""


def asking(hosts: Iterable[str] | None, folder: str) -> str:
    """Return a function of configurations: their declarations without ``hosts``, else the manifests of these, below ``folder``."""
    listed = "null" if hosts is None else f"[ {' '.join(map(quoted, hosts))} ]"
    return f"({_ASK.strip()}) {{ hosts = {listed}; folder = {quoted(folder)}; }}"


def of_file(asked: str, path: str) -> str:
    """Return the expression that puts :func:`asking` to the configurations of a file without flakes."""
    return f"({asked}) (({_CONFIGURATIONS.strip()}) (/. + {quoted(path)}))"


def quoted(text: str) -> str:
    """Spell a text as a Nix string in which nothing is an escape or an interpolation."""
    escaped = re.sub(r'[\\"$]', lambda found: "\\" + found[0], text)
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'


__all__ = ["asking", "of_file", "quoted"]
