"""A small real repository for tests of plugins: an admin, two hosts, three sealed files, a lock."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from secretsmith.crypto.publickey import Form
from secretsmith.documents.format import Format
from secretsmith.documents.seal import seal_value
from secretsmith.interaction import NoInteraction
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.operations.readers import sealing_recipients
from secretsmith.plugin.api import PluginContext
from secretsmith.policy.resolve import wanted_readers
from secretsmith.project import REGISTRY_NAME, Project, open_project, writing
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import write_atomic

HOST_FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "web1": ("secrets/web/db.age", "secrets/web1/tls.age"),
    "web2": ("secrets/web/db.age", "secrets/web2/tls.age"),
}
"""Host of the sample repository → the files that its rules let it read."""

# Public keys of RFC 8032 §7.1, tests 1 to 3: valid points whose private keys everybody knows.
_KEYS: Final = {
    "alice": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "web1": "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "web2": "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
}


def sample_context(root: Path, environ: Mapping[str, str] | None = None) -> PluginContext:
    """Make the sample repository in the empty folder ``root`` and return the context of a plugin in it.

    The context is the real one, but any attempt to decrypt fails the test unless ``environ`` names an identity.
    """
    write_atomic(root / REGISTRY_NAME, _registry().encode(), mode=0o644)
    given = {"PATH": os.defpath, **(environ or {})}
    project = open_project(
        root, environ={**given, "SECRETSMITH_ROOT": str(root)}, interaction=NoInteraction()
    )
    with writing(project) as session:
        for path in sorted({path for files in HOST_FILES.values() for path in files}):
            wanted = wanted_readers(project.registry, path)
            keys = wanted.keys if wanted else {}
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            value = Sensitive(hashlib.sha256(path.encode()).hexdigest().encode())
            data = seal_value(Format.AGE, value, sealing_recipients(keys, Form.NATIVE), armor=True)
            session.stage_secret(path, data, keys, expect=None)
        session.commit()
    project = open_project(root, environ=project.environ, interaction=NoInteraction())
    return RepositoryContext(project) if "SECRETSMITH_IDENTITY" in given else WithoutKeys(project)


class WithoutKeys(RepositoryContext):
    """The context of a plugin that must not need a key."""

    def __init__(self, project: Project) -> None:
        super().__init__(project)

    def open_age(self, data: bytes) -> NoReturn:
        """Fail the test."""
        raise AssertionError("the plugin decrypts, which this call must not")

    def open_age_with(self, data: bytes, identity_file: Path) -> NoReturn:
        """Fail the test."""
        raise AssertionError("the plugin decrypts, which this call must not")

    def read_secret(self, path: str, key: str | None = None) -> NoReturn:
        """Fail the test."""
        raise AssertionError(f"the plugin decrypts {path}, which this call must not")


def snapshot(root: Path) -> dict[str, str]:
    """Return path → digest of everything below ``root`` except the state of the clone."""
    found: dict[str, str] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in (".git", ".secretsmith")]
        for name in names:
            path = Path(folder, name)
            found[str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _registry() -> str:
    tables = ["[secretsmith]\nversion = 1\n", f'[users.alice]\nkeys = ["{_line("alice")}"]\nadmin = true\n']
    tables += [
        f'[hosts.{host}]\nkeys = ["{_line(host)}"]\naddress = "{host}.example.org"\n' for host in HOST_FILES
    ]
    tables.append('[[rules]]\npath = "secrets/web/**"\nreaders = ["web1", "web2"]\n')
    tables += [f'[[rules]]\npath = "secrets/{host}/**"\nreaders = ["{host}"]\n' for host in HOST_FILES]
    return "\n".join(tables)


def _line(name: str) -> str:
    """An OpenSSH public key line (RFC 8709 §4: two length-prefixed strings, base64)."""
    parts = (b"ssh-ed25519", bytes.fromhex(_KEYS[name]))
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} {name}@example"


__all__ = ["HOST_FILES", "WithoutKeys", "sample_context", "snapshot"]
