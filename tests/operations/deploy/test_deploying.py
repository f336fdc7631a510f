"""deploy: over a real sshd, onto a host whose systemd is played."""

from __future__ import annotations

import json
import subprocess

import pytest
from deployhosts import DECLARED, DeployHost
from keys import ed25519_key

from secretsmith import __version__
from secretsmith.activation.templates.rendering import render
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import RefusedInput, SecretsmithError
from secretsmith.operations.deploy.tree import prepare, tree_files
from secretsmith.record import replace

BASE = "/var/lib/secretsmith"
SMTP_ALONE = DECLARED[DECLARED.index("[secrets.smtp]") :]


def trees(host: DeployHost) -> list[str]:
    return host.run(f"ls {BASE}/trees").split()


def test_what_is_declared_is_installed_and_nobody_else_reads_what_was_sent(web1: DeployHost) -> None:
    said = web1.deploy()
    assert "secretsmith: web1: generation 1: +2 new" in said
    assert web1.run("cat /run/secrets/db /run/secrets/smtp") == "first dbfirst smtp"
    assert web1.run("stat -L -c %a /run/secrets/smtp") == "440\n"
    assert set(web1.run(f"find {BASE} ! -type l -printf '%m %u\n'").split("\n")) == {
        "700 root",
        "600 root",
        "",
    }
    manifest = json.loads(web1.run(f"cat {BASE}/current/manifest.json"))
    assert manifest["secrets"][0]["source"] == f"{BASE}/trees/1/files/secrets/web/db.age"
    calls = web1.systemctl.calls()
    assert calls[:2] == [
        "daemon-reload",
        "enable --quiet secretsmith-activate.service secretsmith-identity.path",
    ]
    assert calls[-2:] == ["restart secretsmith-activate.service", "start secretsmith-identity.path"]
    unit = web1.run("cat /etc/systemd/system/secretsmith-activate.service")
    assert f"{BASE}/current/manifest.json" in unit


def test_a_dry_run_tells_and_leaves_nothing(web1: DeployHost) -> None:
    before = web1.everything()
    said = web1.deploy("--dry-run")
    assert "dry run" in said and "new db root:root 0400" in said
    assert web1.everything() == before and web1.systemctl.calls() == []
    web1.deploy()
    web1.fleet.set("secrets/web/db.age", b"second db")
    before, calls = web1.everything(), web1.systemctl.calls()
    assert "1 changed" in web1.deploy("--dry-run")
    assert web1.everything() == before and web1.systemctl.calls() == calls
    assert web1.run("cat /run/secrets/db") == "first db"


def test_the_one_before_is_kept_and_returned_to(web1: DeployHost) -> None:
    assert "no earlier deploy" in web1.deploy("--rollback", code=4)
    web1.deploy()
    assert "no earlier deploy" in web1.deploy("--rollback", code=4)
    for number in (2, 3):
        web1.fleet.set("secrets/web/db.age", f"value {number}".encode())
        web1.deploy()
    assert trees(web1) == ["2", "3"]
    # What is broken here now is no reason not to go back there.
    (web1.fleet.root / "secretsmith.d/web1.toml").write_text("broken")
    before = web1.everything()
    assert "1 changed" in web1.deploy("--rollback", "--dry-run")
    assert web1.everything() == before
    assert "1 changed" in web1.deploy("--rollback")
    assert web1.run("cat /run/secrets/db") == "value 2" and trees(web1) == ["2"]
    assert "no earlier deploy" in web1.deploy("--rollback", code=4)


def test_what_is_there_already_is_not_sent_again_but_mended(web1: DeployHost) -> None:
    web1.deploy()
    web1.fleet.set("secrets/web/db.age", b"second db")
    web1.deploy()
    web1.run("rm -r /run/secrets")
    assert "dry run" in web1.deploy("--dry-run")
    web1.deploy()
    assert trees(web1) == ["1", "2"] and web1.run("cat /run/secrets/db") == "second db"
    # Somebody was at work in there.
    web1.run(f"rm {BASE}/current/files/secrets/web/smtp.age")
    web1.deploy()
    assert trees(web1) == ["2", "3"]
    assert web1.run(f"ls {BASE}/current/files/secrets/web").split() == ["db.age", "smtp.age"]


def test_a_declaration_that_is_gone_takes_its_value_along(web1: DeployHost) -> None:
    web1.deploy()
    web1.declare(SMTP_ALONE)
    assert "1 removed" in web1.deploy()
    assert web1.run("ls /run/secrets") == "smtp\n"


def test_nothing_secret_is_on_the_wire(web1: DeployHost) -> None:
    ssh, tapped = web1.servers.bin / "ssh", web1.fleet.folder / "tapped"
    ssh.write_text(ssh.read_text().replace("exec ", f"tee {tapped} | "))
    web1.deploy("--dry-run")
    sent = tapped.read_bytes()
    assert (web1.fleet.root / "secrets/web/db.age").read_bytes() in sent
    for private in (web1.fleet.home / ".ssh/id_ed25519", web1.fleet.private / "web1"):
        assert private.read_bytes().splitlines()[2] not in sent
    assert b"first db" not in sent


def test_another_key_than_the_registered_one_is_not_talked_to(web1: DeployHost) -> None:
    key = ed25519_key()
    web1.listen(key.write(web1.servers.folder, "other"))
    # The user's own ssh has made its peace with that key, and has a connection open to it.
    control = web1.servers.folder / "control"
    web1.servers.configure(
        f"Host *\n  StrictHostKeyChecking no\n  ControlPath {control}\n"
        "  NoHostAuthenticationForLocalhost yes\n  FingerprintHash md5\n"
    )
    config = str(web1.servers.config)
    subprocess.run(["ssh", "-F", config, "-fNM", "web1"], check=True, capture_output=True)
    try:
        before = web1.everything()
        said = web1.deploy(code=8)
        assert parse_public_key(key.public).fingerprint in said
        assert "hint: if it was reinstalled: secretsmith host reprovision web1 --scan" in said
        assert web1.everything() == before
    finally:
        subprocess.run(["ssh", "-F", config, "-O", "exit", "web1"], check=True, capture_output=True)


def test_who_has_no_ed25519_key_is_another_host(web1: DeployHost) -> None:
    key = web1.servers.folder / "ecdsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", key], check=True)
    web1.listen(key)
    assert "no ed25519 key" in web1.deploy(code=8)


def test_while_a_key_is_replaced_both_are_right(web1: DeployHost) -> None:
    new = ed25519_key("root@web1")
    registry = web1.fleet.registry
    old = web1.fleet.public["web1"]
    assert f'["{old}"]' in registry
    web1.fleet.write_registry(registry.replace(f'["{old}"]', f'["{old}", "{new.public.strip()}"]'))
    web1.fleet.run("rekey", "--accept", "all")
    web1.deploy()
    web1.listen(new.write(web1.servers.folder, "new"))
    web1.deploy()


def test_nobody_there_and_not_let_in(web1: DeployHost) -> None:
    web1.let_in("exec false")
    assert "secretsmith: error: web1: " in web1.deploy(code=7)
    (web1.servers.folder / "authorized").write_text("")
    said = web1.deploy(code=7)
    assert "Permission denied" in said and "User root" in said
    assert "Connection refused" in web1.deploy("--address", "root@127.0.0.1:1", code=7)
    assert "is no address" in web1.deploy("--address", "-oProxyCommand=x", code=2)


def test_a_jump_host_with_another_key_is_not_taken_for_the_host(web1: DeployHost) -> None:
    jump = web1.servers.start(ed25519_key())
    web1.servers.known_hosts.write_text(f"[127.0.0.1]:{jump} {ed25519_key().public}\n")
    web1.servers.configure(
        f"Host web1\n  ProxyCommand ssh -F {web1.servers.config} -W %h:%p -p {jump} 127.0.0.1\n"
    )
    said = web1.deploy(code=7)
    assert "reprovision" not in said


@pytest.mark.parametrize("welcome", ["echo welcome", "printf welcome"])
def test_what_root_s_shell_prints_does_no_harm(web1: DeployHost, welcome: str) -> None:
    web1.let_in(f'{welcome}; eval \\"$SSH_ORIGINAL_COMMAND\\"')
    assert "+2 new" in web1.deploy()


def test_who_lets_root_in_only_to_send_her_away_is_quoted(web1: DeployHost) -> None:
    web1.let_in("echo Please login as the user debian; exit 142")
    said = web1.deploy(code=7)
    assert "before anything ran: Please login as the user debian" in said and "authorized_keys" in said


def test_an_ssh_that_is_too_old_is_told(web1: DeployHost) -> None:
    web1.servers.configure("Host web1\n  KnownHostsCommandOfTomorrow none\n")
    assert "hint: OpenSSH 8.5 or newer is needed here" in web1.deploy(code=7)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("exec no-such-python", "python3 does not run there"),
        ('echo \'{\\"is\\": \\"hello\\", \\"protocol\\": 0, \\"python\\": [3, 9]}\'', "has Python 3.9"),
        ('echo \'{\\"is\\": \\"hello\\", \\"protocol\\": 0, \\"python\\": [3, 9]}\'', "hint: Debian 12 and"),
        ('echo \'{\\"is\\": \\"hello\\", \\"protocol\\": 1, \\"python\\": [3, 11]}\'', "that no deploy says"),
    ],
)
def test_hosts_that_cannot(web1: DeployHost, answer: str, said: str) -> None:
    web1.let_in(answer)
    assert said in web1.deploy(code=1)


def test_another_version_there_is_refused_with_the_command(web1: DeployHost) -> None:
    before = web1.everything()
    web1.install_program("#!/bin/sh\necho secretsmith 0.0.1\n")
    said = web1.deploy(code=1)
    assert f"web1 has secretsmith 0.0.1, and this is {__version__}" in said
    assert "hint: secretsmith deploy web1 --bootstrap" in said
    web1.install_program("#!/bin/sh\necho secretsmith 99.0\n")
    said = web1.deploy(code=1)
    assert "hint: bring yours up to it: pip install --upgrade secretsmith" in said
    assert "or put this older version there: secretsmith deploy web1 --bootstrap" in said
    web1.run("rm /usr/local/bin/secretsmith-activate")
    assert "web1 has no secretsmith yet" in web1.deploy("--dry-run", code=1)
    assert web1.everything() == [path for path in before if not path.endswith("activate")]


def test_what_build_check_refuses_is_not_sent(web1: DeployHost) -> None:
    web1.fleet.encrypt("secrets/web/db.age", web1.fleet.public["alice"], web1.fleet.public["web2"])
    web1.servers.config.unlink()  # no ssh would get anywhere
    said = web1.deploy(code=3)
    assert "web1 is registered as SHA256:" in said and "run secretsmith rekey" in said
    assert "nothing was sent" in said


def test_hosts_and_options_that_are_no_good(web1: DeployHost) -> None:
    deploy = web1.fleet.run
    assert b"web9" in deploy("deploy", "web9", code=4).stderr
    assert b"excludes --bootstrap" in deploy("deploy", "web1", "--dry-run", "--bootstrap", code=2).stderr
    assert b"goes with --bootstrap" in deploy("deploy", "web1", "--wheels", "x", code=2).stderr
    deploy("host", "add", "web9", "--pending")
    assert b"no registered key" in deploy("deploy", "web9", "--rollback", code=2).stderr
    web1.declare('scope = "user"\n' + DECLARED)
    assert "scope user" in web1.deploy(code=2)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (f"mkdir /run/elsewhere; ln -s /run/elsewhere {BASE}", "no folder of its own"),
        (f"mkdir -m 777 {BASE}", "can be written by others"),
        (f"mkdir {BASE}; chmod 1777 {BASE}", "can be written by others"),
        (f"mkdir {BASE}; chown nobody {BASE}", "can be written by others"),
        (f"echo > {BASE}", "no folder of its own"),
        (f"mkdir -p {BASE}; ln -s /run {BASE}/trees", "no folder of its own"),
        (f"mkdir -p {BASE}; ln -s /etc {BASE}/current", "which no deploy made"),
        ("chmod 777 /var/lib", "can be written by others"),
    ],
)
def test_what_somebody_left_there_is_not_walked_into(web1: DeployHost, before: str, said: str) -> None:
    web1.run(before)
    known = web1.everything()
    assert said in web1.deploy(code=1)
    assert [path for path in web1.everything() if not path.endswith("/trees")] == [
        path for path in known if not path.endswith("/trees")
    ]
    assert web1.run("ls -A /run/elsewhere 2>/dev/null; :") == ""


@pytest.mark.parametrize("place", ["/opt/secretsmith/bin", "/opt/secretsmith/current/bin", "/usr/local/bin"])
def test_a_program_that_somebody_else_put_there_is_not_run(web1: DeployHost, place: str) -> None:
    web1.run("rm /usr/local/bin/secretsmith-activate")
    web1.install_program(f"#!/bin/sh\ntouch /run/ran\necho secretsmith {__version__}\n")
    program = f"{place}/secretsmith-activate"
    web1.run(
        f"mkdir -p {place}; [ -e {program} ] || mv /usr/local/bin/secretsmith-activate {place};"
        f" chown -R nobody /opt {program}"
    )
    assert "web1 has no secretsmith yet" in web1.deploy(code=1)
    assert web1.run("ls /run/ran 2>/dev/null; :") == ""


def test_what_is_no_file_in_a_tree_is_not_waited_for(web1: DeployHost) -> None:
    web1.run(f"mkdir -p -m 700 {BASE}/trees/1; mkfifo {BASE}/trees/1/manifest.json")
    web1.run(f"ln -s /dev/zero {BASE}/trees/1/previous; ln -s trees/1 {BASE}/current")
    assert "+2 new" in web1.deploy()


def test_a_full_disk_is_named_and_changes_nothing(web1: DeployHost) -> None:
    web1.deploy()
    web1.fleet.set("secrets/web/db.age", b"x" * 300_000)
    web1.run("mount -o remount,size=200k /var/lib")
    before = web1.everything()
    said = web1.deploy(code=1)
    assert f"web1: {BASE}: no space left on device" in said and f"df -h {BASE}" in said
    assert web1.everything() == before and web1.run("cat /run/secrets/db") == "first db"


@pytest.mark.parametrize("status", [3, 7, 8, 130, 77])
def test_what_only_this_side_says_is_no_exit_code_of_a_host(web1: DeployHost, status: int) -> None:
    web1.install_program(
        f"#!/bin/sh\ncase $1 in --version) echo secretsmith {__version__};; --write-units) echo x enable --now x.service;;"
        f" --*) ;; *) exit {status};; esac\n"
    )
    web1.deploy(code=1)


def test_what_the_host_cannot_open_is_its_exit_code_and_the_rest_is_installed(web1: DeployHost) -> None:
    web1.deploy()
    web1.run("rm /etc/ssh/ssh_host_ed25519_key")
    web1.fleet.set("secrets/web/db.age", b"second db")
    said = web1.deploy(code=5)
    assert "secretsmith: error: " in said and "stale" in said
    assert web1.run("cat /run/secrets/db") == "first db"
    assert "restart secretsmith-activate.service" in web1.systemctl.calls()[-2]


def test_a_manifest_that_the_host_refuses_does_not_become_that_of_the_next_boot(web1: DeployHost) -> None:
    web1.deploy()
    web1.fleet.set("secrets/web/db.age", b"second db")
    web1.install_program(
        f"#!/bin/sh\ncase $1 in --version) echo secretsmith {__version__};; --dry-run) echo no >&2; exit 2;; esac\n"
    )
    before, calls = web1.everything(), web1.systemctl.calls()
    assert "no\n" in web1.deploy(code=2)
    assert web1.everything() == before and web1.systemctl.calls() == calls


def test_a_unit_that_fails_although_all_is_installed_is_said(web1: DeployHost) -> None:
    web1.systemctl.acts["restart"] = {"status": 1}
    web1.systemctl.prepare()
    said = web1.deploy(code=1)
    assert "+2 new" in said and "journalctl -b -u secretsmith-activate.service" in said


def test_units_that_cannot_be_written_keep_no_secret_away(web1: DeployHost) -> None:
    web1.install_program(
        f"#!/bin/sh\ncase $1 in --version) echo secretsmith {__version__};; --dry-run) ;;"
        " --write-units) echo broken >&2; exit 1;; *) echo activated;; esac\n"
    )
    said = web1.deploy(code=1)
    assert "activated\n" in said and "broken\n" in said and "gone after a boot" in said
    web1.install_program()
    web1.systemctl.acts["enable"] = {"status": 1, "says": "no enabling\n"}
    web1.systemctl.prepare()
    said = web1.deploy(code=1)
    assert "+2 new" in said and "no enabling\n" in said and "could not be enabled" in said


def test_without_systemd_there_is_nothing_to_bring_it_back(web1: DeployHost) -> None:
    web1.run("rm -r /run/systemd")
    before = web1.everything()
    assert "systemd does not run there" in web1.deploy(code=1)
    assert web1.everything() == before


def test_units_that_are_gone_are_enabled_no_more(web1: DeployHost) -> None:
    wants = "/etc/systemd/system/sysinit.target.wants"
    web1.run(f"mkdir -p {wants}; ln -s ../secretsmith-users.service {wants}; ln -s ../other.service {wants}")
    web1.run("echo > /etc/systemd/system/no-folder.wants")
    web1.deploy()
    assert web1.run(f"ls {wants}").split() == ["other.service"]


def test_two_at_a_time(web1: DeployHost) -> None:
    web1.deploy()
    holder = f"exec 9<{BASE}/trees; flock -n 9 && echo held && exec sleep 60"
    held = subprocess.Popen([*web1.inside(), "sh", "-c", holder], stdout=subprocess.PIPE, text=True)
    try:
        assert held.stdout is not None and held.stdout.readline() == "held\n"
        assert "another deploy is at work" in web1.deploy(code=9)
    finally:
        held.kill()
        held.communicate()


def test_only_files_of_the_repository_are_sent(web1: DeployHost) -> None:
    project = web1.fleet.project()
    manifest = prepare(project, "web1", None, render).manifest
    assert sorted(tree_files(project, manifest, 7)) == [
        "files/secrets/web/db.age",
        "files/secrets/web/smtp.age",
        "manifest.json",
    ]
    other = replace(manifest.secrets[0], source=str(web1.fleet.home / ".ssh/id_ed25519"))
    for source in (other.source, f"{project.root}/../home/.ssh/id_ed25519", "/etc/shadow"):
        secrets = (replace(other, source=source), *manifest.secrets[1:])
        with pytest.raises(RefusedInput, match="not in this repository"):
            tree_files(project, replace(manifest, secrets=secrets), 7)
    (project.root / "link").symlink_to(web1.fleet.home / ".ssh")
    secrets = (replace(other, source=f"{project.root}/link/id_ed25519"), *manifest.secrets[1:])
    with pytest.raises(SecretsmithError):
        tree_files(project, replace(manifest, secrets=secrets), 7)
