"""The example manifests of the documentation: they are as the schema and the parser want them, and they really activate."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hosts import IS_ROOT, Host, environment
from vaults import derived

from secretsmith.activation.accounts import Caller
from secretsmith.activation.engine import activate
from secretsmith.activation.scope import settled
from secretsmith.documents.format import format_of
from secretsmith.documents.sopsnew import new_document
from secretsmith.errors import ExitCode
from secretsmith.manifest import Scope, parse_manifest
from secretsmith.record import replace

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
EXAMPLES = sorted((REFERENCE / "examples").glob("*.json"))
NUMBERS = {"postgres": 70, "app": 71, "ssl-cert": 72}
COMMON = b"mail:\n    smtp: hunter2\n    from: root@example.org\nother: 1\n"


class Directory:
    """The users and groups that the examples name."""

    def uid(self, name: str) -> int | None:
        return NUMBERS.get(name)

    gid = uid


def test_there_are_some() -> None:
    assert {path.stem for path in EXAMPLES} >= {"system", "user"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_manifest(path: Path) -> None:
    schema = json.loads((REFERENCE / "schemas" / "manifest.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(path.read_text()), schema, jsonschema.Draft202012Validator)
    manifest = parse_manifest(path.read_bytes())
    assert [*manifest.entries()]
    assert manifest.scope is Scope(path.stem)


def made_up(host: Host, manifest: dict[str, Any], place: str) -> None:
    """Make the encrypted files that a manifest names, below ``place``."""
    for secret in manifest["secrets"]:
        path = Path(place + secret["source"])
        path.parent.mkdir(parents=True, exist_ok=True)
        if secret["format"] == "age":
            path.write_bytes(host.encrypt("made-up", f"value of {secret['name']}".encode()).read_bytes())
        else:
            path.write_bytes(
                new_document(format_of(path.name), COMMON, [[derived(host.key)]], clock=lambda: 1e9)
            )


def moved(tree: Any, place: str) -> Any:
    """The same with every absolute path below ``place``."""
    if isinstance(tree, dict):
        return {name: moved(item, place) if name != "content" else item for name, item in tree.items()}
    if isinstance(tree, list):
        return [moved(item, place) for item in tree]
    return place + tree if isinstance(tree, str) and tree.startswith("/") else tree


@pytest.fixture
def root(host: Host) -> Path:
    """A folder that plays the machine."""
    found = host.folder / "machine"
    found.mkdir(mode=0o755)
    return found


def test_the_example_of_a_machine(host: Host, root: Path) -> None:
    tree = json.loads((REFERENCE / "examples" / "system.json").read_text())
    made_up(host, tree, str(root))
    (root / "etc" / "ssh").mkdir(parents=True)
    host.key.write(root / "etc" / "ssh", "ssh_host_ed25519_key")
    host.manifest = moved(tree, str(root))
    outcome = activate(host.data(), host.options(paths=str(host.paths_file)), accounts=Directory())
    assert outcome.exit_code is ExitCode.OK, [error.message for error in outcome.errors()]
    run = root / "run"
    assert (run / "secrets-for-users" / "root-password").read_bytes() == b"value of root-password"
    assert (run / "secrets" / "db-password").read_bytes() == b"value of db-password"
    assert (run / "secrets" / "mail" / "smtp").read_bytes() == b"hunter2"
    accounts = root / "etc" / "mailer" / "accounts.json"
    assert accounts.is_symlink()
    assert json.loads(accounts.read_bytes()) == {"smtp": "hunter2", "from": "root@example.org"}
    copy = root / "etc" / "ssl" / "private" / "web1.pem"
    assert (copy.is_symlink(), copy.read_bytes()) == (False, b"value of tls-key")
    assert (run / "secrets" / "app.env").read_text() == (
        'DSN=postgres://app:value%20of%20db-password@db/app\nSMTP_PASSWORD="hunter2"\n'
    )
    if IS_ROOT:
        found = (run / "secrets" / "app.env").stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (71, 71, 0o400)
        assert (copy.stat().st_gid, copy.stat().st_mode & 0o777) == (72, 0o440)
    units = {unit for report in outcome.reports for unit in report.units.restart | report.units.reload}
    assert units == {"postgresql.service", "nginx.service", "app.service"}
    again = activate(host.data(), host.options(paths=str(host.paths_file)), accounts=Directory())
    assert all(report.nothing_done for report in again.reports)


@pytest.mark.usefixtures("as_root")
def test_the_example_as_it_is_in_a_mount_namespace(host: Host, root: Path) -> None:
    """Byte for byte, at the very paths that it names, by the real program; /run, /etc and /var are others there."""
    example = REFERENCE / "examples" / "system.json"
    tree = json.loads(example.read_text())
    made_up(host, tree, str(root))
    (root / "etc" / "ssh").mkdir(parents=True)
    host.key.write(root / "etc" / "ssh", "ssh_host_ed25519_key")
    users = "".join(f"{name}:x:{number}:{number}::/:/bin/false\n" for name, number in NUMBERS.items())
    groups = "".join(f"{name}:x:{number}:\n" for name, number in NUMBERS.items())
    (root / "etc" / "passwd").write_text(f"root:x:0:0::/root:/bin/sh\n{users}")
    (root / "etc" / "group").write_text(f"root:x:0:\n{groups}")
    (root / "etc" / "secretsmith.json").write_bytes(example.read_bytes())
    (root / "run").mkdir()
    door = host.command()[:3]
    script = f"""set -e
        for folder in run etc var; do mount --bind {root}/$folder /$folder; done
        activate() {{ {" ".join(door)} "$@" /etc/secretsmith.json; }}
        activate --units none
        activate --units none
        cat /run/secrets/app.env /etc/mailer/accounts.json
        stat -c '%n %U %G %a' /run/secrets/db-password /etc/ssl/private/web1.pem
        grep -o "/run/secrets[^ ]* [^ ]* - tmpfs" /proc/self/mountinfo
    """
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "secretsmith: web1: users: generation 1: +1 new, 0 changed, 0 unchanged, 0 removed",
        "secretsmith: web1: generation 1: +5 new, 0 changed, 0 unchanged, 0 removed",
        "secretsmith: web1: users: generation 1: nothing to do, 1 unchanged",
        "secretsmith: web1: generation 1: nothing to do, 5 unchanged",
    ]
    assert 'SMTP_PASSWORD="hunter2"' in lines
    assert "/run/secrets/db-password postgres postgres 440" in lines
    assert "/etc/ssl/private/web1.pem root ssl-cert 440" in lines
    options = "rw,nosuid,nodev,noexec,relatime"
    assert lines[-2:] == [f"/run/secrets{phase}.d {options} - tmpfs" for phase in ("-for-users", "")]
    status = json.loads((root / "run" / "secretsmith" / "status.json").read_text())
    assert {secret["state"] for secret in status["secrets"].values()} <= {"fresh", "unchanged"}
    assert (root / "var" / "lib" / "secretsmith" / "paths.json").exists()
    assert not list((root / "run" / "secrets.d").iterdir()), "what was in memory is gone with the namespace"


def test_the_example_of_a_user(host: Host, root: Path) -> None:
    """Where it is put in a session; a user's own run is in test_phases.py."""
    manifest = parse_manifest((REFERENCE / "examples" / "user.json").read_bytes())
    for name in ("home", "runtime"):
        (root / name).mkdir()
    caller = replace(Caller.current(), trusted=frozenset({0, os.geteuid(), 4_000_000_000}))  # no root
    session = {"HOME": str(root / "home"), "XDG_RUNTIME_DIR": str(root / "runtime")}
    found = settled(manifest, session, caller)
    assert found.directory == f"{root}/runtime/secrets"
    assert found.secrets[0].path == f"{root}/home/.config/forge/token"
