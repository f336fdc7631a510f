"""Scope user on a host that boots: a user's own secrets, in that user's runtime folder, by that user's units."""

from __future__ import annotations

import json
import subprocess

import pyrage
from boothost import ACTIVATE, BootHost
from hosts import recipient
from keys import ed25519_key

HOME, RUNTIME = "/home/ann", "/run/user/1600"
UNITS = f"{HOME}/.config/systemd/user"
PROGRAM = "/usr/local/bin/secretsmith-activate"


def test_a_users_units_install_the_users_secrets(host: BootHost) -> None:
    machine = host.machine
    host.write("/etc/sysusers.d/ann.conf", f'u ann 1600 "Ann" {HOME} /bin/sh\n')
    subprocess.run(["chroot", str(machine.root), "systemd-sysusers"], check=True, capture_output=True)
    key = ed25519_key("ann@web1")
    host.path(f"{HOME}/.ssh").mkdir(parents=True)
    key.write(host.path(f"{HOME}/.ssh"), "id_ed25519")
    value = host.value("token")
    host.write(f"{HOME}/secrets/token.age", pyrage.encrypt(value, [recipient(key)]))
    manifest = {
        "version": 1,
        "host": "web1",
        "scope": "user",
        "directory": "$XDG_RUNTIME_DIR/secrets",
        "generations": "$XDG_RUNTIME_DIR/secrets.d",
        "identities": ["$HOME/.ssh/id_ed25519"],
        "secrets": [
            {
                "name": "token",
                "source": f"{HOME}/secrets/token.age",
                "format": "age",
                "path": "$HOME/.config/app/token",
                "restart_units": ["app.service"],
            }
        ],
    }
    host.write(f"{HOME}/secrets/ann.json", json.dumps(manifest))
    host.write(
        f"{UNITS}/app.service",
        f"[Unit]\nAfter={ACTIVATE}\n[Service]\nType=exec\n"
        "ExecStart=/bin/sh -c 'sha256sum %h/.config/app/token; exec sleep infinity'\n"
        "[Install]\nWantedBy=default.target\n",
    )
    host.write("/var/lib/systemd/linger/ann", "")
    subprocess.run(["chown", "-R", "1600:1600", str(host.path(HOME))], check=True)
    machine.boot()

    def as_ann(*command: str, check: bool = True) -> str:
        variables = (f"HOME={HOME}", f"XDG_RUNTIME_DIR={RUNTIME}")
        return machine.run("env", *variables, *command, user="ann", check=check).stdout

    machine.await_unit("user@1600.service")
    made = as_ann(PROGRAM, "--write-units", UNITS, f"{HOME}/secrets/ann.json")
    command = made.partition("next: ")[2].strip()
    assert "--user" in command and ACTIVATE in command
    as_ann("sh", "-c", f"{command} && systemctl --user enable --now app.service")
    assert as_ann("cat", f"{RUNTIME}/secrets/token").encode() == value
    assert as_ann("stat", "-L", "-c", "%A %U", f"{HOME}/.config/app/token") == "-r-------- ann\n"
    assert machine.run("cat", f"{RUNTIME}/secrets/token", user="app", check=False).returncode != 0

    # Once more, from the start: linger brings the user's units up with the machine, and a change restarts the one unit.
    machine.shut_down()
    machine.boot()
    is_active = ("systemctl", "--user", "is-active", "app.service")
    machine.until(lambda: as_ann(*is_active, check=False) == "active\n", "app.service of ann is not active")
    assert as_ann("systemctl", "--user", "--failed", "--no-legend") == ""
    assert as_ann("cat", f"{HOME}/.config/app/token").encode() == value
    before = as_ann("systemctl", "--user", "show", "--value", "-pInvocationID", "app.service")
    host.write(f"{HOME}/secrets/token.age", pyrage.encrypt(host.value("token"), [recipient(key)]))
    as_ann(PROGRAM, f"{HOME}/secrets/ann.json")
    assert as_ann("systemctl", "--user", "show", "--value", "-pInvocationID", "app.service") != before
    assert as_ann("cat", f"{HOME}/.config/app/token").encode() == host.values["token"]
    machine.run("cp", f"{HOME}/secrets/ann.json", "/etc/ann.json")
    refused = machine.run(PROGRAM, "/etc/ann.json", check=False)
    assert refused.returncode == 2 and "scope user" in refused.stderr
    machine.shut_down()
    host.assert_nothing_on_disk()
