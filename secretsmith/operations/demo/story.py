"""What happens in the demo, scene by scene."""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from secretsmith.crypto.publickey import PublicKey, parse_public_key
from secretsmith.operations.demo.namespace import Place, enter_namespace, unmount_below
from secretsmith.operations.demo.stage import Stage
from secretsmith.store.scratch import scratch_folder

_EDITOR = """#!/bin/sh
# What a person would do in an editor.
printf 'user=root\\npassword=correct horse\\n' > "$1"
"""
_HOSTS = {
    "web1": ("secrets/web/db-password.age", "secrets/web/tls-key.age"),
    "web2": ("secrets/web/db-password.age",),
    "db1": ("secrets/db/root.age",),
}
_REMARKS = {
    Place.ROOT: "running as root: real mounts in a namespace of their own, real owners",
    Place.NAMESPACE: "not running as root: mounts in a user namespace, all files are your own; owners need root",
    Place.FOLDER: "mounting is forbidden here: a plain folder stands in for the RAM filesystem, and owners need root",
}


def run_demo(say: Callable[[str], None]) -> None:
    """Play the whole story; ``say`` gets one line at a time.

    Raises:
        SecretsmithError: a step did not end as it should.
    """
    # Keys and values stay in RAM; what a host mounts cannot lie there, since a manifest refuses folders below /dev.
    with scratch_folder() as folder, tempfile.TemporaryDirectory(prefix="secretsmith-demo-") as machines:
        place = enter_namespace()
        stage = Stage(folder, Path(machines), say)
        stage.title("A throw-away fleet of three hosts, and alice")
        stage.remark(_REMARKS[place])
        if shutil.which("ssh-keygen") is None:
            stage.remark("ssh-keygen is not installed: the keys are made by Python's cryptography instead")
        try:
            _set_up(stage)
            _write_values(stage)
            for host in _HOSTS:
                _activate(stage, host, place)
            _reinstall(stage, place)
        finally:
            unmount_below(stage.machines)
        stage.title("Done: nothing of this is left on the machine")


def _set_up(stage: Stage) -> None:
    stage.make_key(stage.home / ".ssh" / "id_ed25519", "alice@laptop")
    for host in _HOSTS:
        stage.make_key(_host_key(stage, host), f"root@{host}")
    if shutil.which("git"):
        stage.run("git", "init", "--quiet", ".")
    stage.title("A registry: who exists, and who reads what")
    stage.run("secretsmith", "init", "--user", "alice", "--key", "../home/.ssh/id_ed25519.pub")
    for host in _HOSTS:
        key = f"../hosts/{host}/ssh_host_ed25519_key.pub"
        stage.run("secretsmith", "host", "add", host, "--key-file", key)
    stage.run("secretsmith", "grant", "secrets/web/**", "--to", "web1,web2")
    stage.run("secretsmith", "grant", "secrets/db/**", "--to", "db1")


def _write_values(stage: Stage) -> None:
    stage.title("Values: from a pipe, and through an editor")
    editor = stage.home / "editor"
    editor.write_text(_EDITOR)
    editor.chmod(0o755)
    path = "secrets/web/db-password.age"
    stage.run("secretsmith", "set", path, stdin=b"hunter2", shown=f"printf hunter2 | secretsmith set {path}")
    stage.run(
        "secretsmith",
        "set",
        "secrets/web/tls-key.age",
        stdin=os.urandom(64),
        shown="head -c 64 /dev/urandom | secretsmith set secrets/web/tls-key.age",
    )
    stage.run(
        "secretsmith", "edit", "secrets/db/root.age", env={"EDITOR": str(editor), "VISUAL": str(editor)}
    )
    stage.run("secretsmith", "show", path)
    stage.run("secretsmith", "ls")
    if shutil.which("age"):
        stage.remark("and the real age opens it with the host's own key:")
        stage.run("age", "-d", "-i", "../hosts/web1/ssh_host_ed25519_key", path)


def _activate(stage: Stage, host: str, place: Place) -> None:
    stage.title(f"On {host}: the manifest becomes files")
    _write_manifest(stage, host, place)
    _run_activation(stage, host, place)
    _list_files(stage, host, "run")


def _run_activation(stage: Stage, host: str, place: Place, *, expect: int = 0) -> None:
    options = ["--status", str(_machine(stage, host) / "status.json")]
    if place is Place.FOLDER:
        options.append("--plain-folder")
    stage.run(
        "secretsmith-activate",
        *options,
        str(_manifest_path(stage, host)),
        expect=expect,
        shown=f"secretsmith-activate {host}.json",
    )


def _write_manifest(stage: Stage, host: str, place: Place) -> None:
    machine = _machine(stage, host)
    keys = _keys(stage)
    owners = _owners() if place is Place.ROOT else (("0", "0"),)
    secrets = []
    for number, path in enumerate(_HOSTS[host]):
        owner, group = owners[number % len(owners)]
        mode = "0400" if number == 0 else "0440"
        secrets.append(
            {
                "name": Path(path).stem,
                "source": str(stage.fleet / path),
                "id": path,
                "format": "age",
                "owner": owner,
                "group": group,
                "mode": mode,
            }
        )
    manifest = {
        "version": 1,
        "host": host,
        "directory": str(machine / "run" / "secrets"),
        "generations": str(machine / "run" / "secrets.d"),
        "keep": 2,
        "identities": [str(_host_key(stage, host))],
        "host_key": keys[host].fingerprint,
        "principals": {
            key.fingerprint: {"name": name, "ssh_tag": key.tag, "recipient": key.derived}
            for name, key in keys.items()
        },
        "secrets": secrets,
    }
    first = secrets[0]
    stage.remark(
        f"{host}.json says, among others: {first['name']} from {first['id']}, owner {first['owner']}, mode {first['mode']}"
    )
    (machine / "run").mkdir(parents=True)
    _manifest_path(stage, host).write_text(json.dumps(manifest, indent=2))


def _owners() -> tuple[tuple[str, str], ...]:
    """Give users other than root that this machine has, each with its group."""
    found = []
    for name in ("www-data", "daemon", "nobody"):
        try:
            user = pwd.getpwnam(name)
            found.append((name, grp.getgrgid(user.pw_gid).gr_name))
        except KeyError:
            continue
    return tuple(found) or (("0", "0"),)


def _keys(stage: Stage) -> dict[str, PublicKey]:
    """Ask for the key of everybody who may turn up in a file, by name."""
    users = json.loads(stage.ask("secretsmith", "user", "list", "--json"))
    hosts = json.loads(stage.ask("secretsmith", "host", "list", "--json"))
    lines = {user["name"]: user["keys"][0]["key"] for user in users} | {
        host["name"]: host["ssh"] for host in hosts
    }
    return {name: parse_public_key(line) for name, line in lines.items()}


def _list_files(stage: Stage, host: str, run: str) -> None:
    folder = _machine(stage, host) / run / "secrets"
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        facts = file.stat()
        owner = pwd.getpwuid(facts.st_uid).pw_name
        group = grp.getgrgid(facts.st_gid).gr_name
        stage.remark(
            f"{facts.st_mode & 0o7777:04o} {owner}:{group} {facts.st_size} bytes  /run/secrets/{file.name}"
        )


def _reinstall(stage: Stage, place: Place) -> None:
    stage.title("web1 is reinstalled: a new disk, a new host key")
    line = stage.make_key(_host_key(stage, "web1"), "root@web1")
    machine = _machine(stage, "web1")
    fresh = machine / "run-after-reinstall"
    fresh.mkdir()
    manifest = _manifest_path(stage, "web1")
    manifest.write_text(manifest.read_text().replace(f"{machine}/run/", f"{fresh}/"))
    _run_activation(stage, "web1", place, expect=5)
    stage.title("On the laptop: one command")
    kind, blob, *_ = line.split()
    stage.run("secretsmith", "host", "reprovision", "web1", "--key", f"{kind} {blob}", "--yes", "--rekey")
    stage.run("secretsmith", "rekey", "--plan")
    _update_host_key(stage, manifest)
    stage.title("On web1 again")
    _run_activation(stage, "web1", place)
    _list_files(stage, "web1", fresh.name)


def _update_host_key(stage: Stage, manifest: Path) -> None:
    content = json.loads(manifest.read_text())
    content["host_key"] = _keys(stage)["web1"].fingerprint
    manifest.write_text(json.dumps(content, indent=2))


def _machine(stage: Stage, host: str) -> Path:
    return stage.machines / host


def _host_key(stage: Stage, host: str) -> Path:
    return stage.folder / "hosts" / host / "ssh_host_ed25519_key"


def _manifest_path(stage: Stage, host: str) -> Path:
    return _machine(stage, host) / f"{host}.json"


__all__ = ["run_demo"]
