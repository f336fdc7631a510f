"""Which host keys sshd shows, by its configuration: a key that the registry learned from it must be one that opens files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator

from secretsmith.activation.doctor.facts import Fact, Said
from secretsmith.activation.inspection.facts import finding, listed
from secretsmith.activation.opening.sources import read_regular
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import Manifest

_CONFIG = "/etc/ssh/sshd_config"
_LIMIT = 1 << 20
_LINE = re.compile(r"\s*([A-Za-z]+)[\s=]+(.*?)\s*\Z")
_DEEP = 4


def sshd_facts(manifest: Manifest, config: str = _CONFIG) -> Iterator[Said]:
    """Compare sshd's host keys with the manifest's identities; nothing where sshd has no configuration or its usual keys."""
    keys = list(dict.fromkeys(_host_keys(config, 0)))
    if not keys:
        return
    yield Fact("sshd", f"host keys {listed(keys)}")
    hosts = [path for path in manifest.identities if os.path.basename(path).startswith("ssh_host_")]
    if hosts and not {os.path.realpath(path) for path in hosts} & {os.path.realpath(path) for path in keys}:
        text = (
            f"sshd shows other host keys ({listed(keys)}) than those that open secrets here ({listed(hosts)})"
        )
        hint = "name sshd's key in the manifest's identities: a scan would register that one"
        yield finding(Code.HOST_KEY, "warning", config, text, hint)


def _host_keys(path: str, depth: int) -> Iterator[str]:
    try:
        data, _ = read_regular(path, _LIMIT, follow=True)
    except SecretsmithError:
        return
    for line in data.decode("utf-8", "replace").split("\n"):
        found = _LINE.match(line)
        if found is None:
            continue
        word, value = found[1].lower(), found[2]
        if word == "match":
            return  # what follows is for some connections only, and holds no host keys
        if word == "hostkey":
            yield value.strip('"')
        elif word == "include" and depth < _DEEP:
            for pattern in value.split():
                for name in sorted(glob.glob(os.path.join(os.path.dirname(_CONFIG), pattern.strip('"')))):
                    yield from _host_keys(name, depth + 1)


__all__ = ["sshd_facts"]
