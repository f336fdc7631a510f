"""Credentials of units: the drop-ins, and the values that are encrypted again with a key of the machine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hosts import Host

from secretsmith.activation import credstore
from secretsmith.activation.outcome import Outcome
from secretsmith.activation.units import sealing
from secretsmith.activation.units.credentials import credential_dropins
from secretsmith.activation.units.files import ACTIVATE, unit_files
from secretsmith.errors import Code, ExitCode
from secretsmith.manifest import CredentialKey, parse_manifest
from secretsmith.sensitive import Sensitive

WEB = "web.service:db"


class Creds:
    """The real systemd-creds with a secret of its own, and how it was called. A file ``broken`` has it fail, before or after."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder, self.program = folder, program
        self.secret = folder / "credential.secret"
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        script = self.bin / "systemd-creds"
        script.write_text(
            f'#!/bin/sh\necho "$@" >> {folder}/calls\n'
            f"if [ -e {folder}/broken ]; then /bin/cat > /dev/null; /bin/cat {folder}/broken >&2; exit 1; fi\n"
            f'SYSTEMD_CREDENTIAL_SECRET={self.secret} exec {program} "$@"\n'
        )
        script.chmod(0o755)

    def calls(self) -> list[str]:
        """The arguments of each call since this was last asked."""
        path = self.folder / "calls"
        found = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return found

    def opened(self, path: Path, name: str) -> bytes:
        """What a unit would be handed."""
        environ = {"PATH": os.environ["PATH"], "SYSTEMD_CREDENTIAL_SECRET": str(self.secret)}
        done = subprocess.run(
            [self.program, "decrypt", f"--name={name}", str(path), "-"],
            env=environ,
            capture_output=True,
            check=True,
        )
        return done.stdout


@pytest.fixture
def creds(
    peer: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_root: None
) -> Creds:
    made = Creds(tmp_path / "systemd", peer("systemd-creds"))
    monkeypatch.setattr(sealing, "_SEARCHED", (str(made.bin),))
    monkeypatch.setattr(credstore, "HOST_SECRET", str(made.secret))
    return made


def store(host: Host) -> Path:
    return host.paths_file.parent / "credstore"


def stored(host: Host) -> set[str]:
    return {path.name for path in store(host).iterdir()} - {"index.json"}


def run(host: Host, **changes: Any) -> Outcome:
    return host.run_all(paths=str(host.paths_file), **changes)


@pytest.fixture
def sealed(host: Host, creds: Creds) -> Host:
    """A host with one credential, already encrypted."""
    host.manifest["credential_key"] = "host"
    host.add("db", b"hunter2\0\xff", credentials=[WEB])
    host.add("other")
    outcome = run(host)
    assert outcome.exit_code is ExitCode.OK, [*outcome.errors()]
    assert f"encrypted for the disk: {WEB}" in [*outcome.lines()]
    assert creds.calls() == ["encrypt --with-key=host --name=db - -"]
    return host


# -- drop-ins -------------------------------------------------------------------------------------------------------


def dropins(*secrets: dict[str, Any], **top: Any) -> dict[str, str]:
    tree = {
        "version": 1,
        "host": "web1",
        "directory": "/run/secrets",
        "generations": "/run/secrets.d",
        "identities": ["/k"],
        "secrets": [{"source": "/x.age", "format": "age", **each} for each in secrets],
    }
    return credential_dropins(parse_manifest(json.dumps(tree | top).encode()), "# ours\n")


def settings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("LoadCredential")]


def test_a_dropin_for_each_unit() -> None:
    found = dropins(
        {"name": "a%b/db", "credentials": [WEB, "app@.service:pw"]},
        {"name": "tls", "credentials": ["web.service:tls", "x.socket:tls"], "path": "/etc/tls"},
        {"name": "hash", "credentials": ["srv.mount:h"], "phase": "users"},
        {"name": "none"},
    )
    assert {name: settings(text) for name, text in found.items()} == {
        "app@.service.d/50-secretsmith.conf": ["LoadCredential=pw:/run/secrets/a%%b/db"],
        "srv.mount.d/50-secretsmith.conf": ["LoadCredential=h:/run/secrets-for-users/hash"],
        "web.service.d/50-secretsmith.conf": [
            "LoadCredential=db:/run/secrets/a%%b/db",
            "LoadCredential=tls:/run/secrets/tls",
        ],
        "x.socket.d/50-secretsmith.conf": ["LoadCredential=tls:/run/secrets/tls"],
    }
    for name, section in (("x.socket", "[Socket]"), ("srv.mount", "[Mount]"), ("web.service", "[Service]")):
        lines = found[f"{name}.d/50-secretsmith.conf"].splitlines()
        assert lines[0] == "# ours" and section in lines
        assert lines.index(f"After={ACTIVATE}") < lines.index(section)


def test_encrypted_ones_are_read_from_the_disk() -> None:
    (text,) = dropins({"name": "db", "credentials": [WEB]}, credential_key="tpm2").values()
    assert settings(text) == ["LoadCredentialEncrypted=db:/var/lib/secretsmith/credstore/web.service:db"]


def test_those_of_a_user() -> None:
    places = {"directory": "$XDG_RUNTIME_DIR/secrets", "generations": "$XDG_RUNTIME_DIR/secrets.d"}
    (text,) = dropins({"name": "db", "credentials": [WEB]}, scope="user", **places).values()
    assert settings(text) == ["LoadCredential=db:%t/secrets/db"]


@pytest.mark.parametrize("key", [None, "host", "tpm2", "host+tpm2"])
def test_systemd_reads_them(peer: Callable[[str], str], tmp_path: Path, key: str | None) -> None:
    top = {} if key is None else {"credential_key": key}
    tree = {
        "version": 1,
        "host": "web1",
        "directory": "/run/secrets",
        "generations": "/run/secrets.d",
        "identities": ["/k"],
        "secrets": [{"name": "db", "source": "/x", "format": "age", "credentials": [WEB, "web.socket:db"]}],
    }
    files = unit_files(parse_manifest(json.dumps(tree | top).encode()), "/m.json", "/bin/true")
    files |= {
        "web.service": "[Service]\nExecStart=/bin/true\n",
        "web.socket": "[Socket]\nListenStream=/run/web\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    # By path alone, systemd-analyze reads no drop-ins.
    done = subprocess.run(
        [peer("systemd-analyze"), "verify", "--man=no", "web.service", "web.socket", ACTIVATE],
        env={"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    broken = tmp_path / "web.service.d/50-secretsmith.conf"
    broken.write_text(broken.read_text().replace("db:/", "db:", 1))
    again = subprocess.run(
        [peer("systemd-analyze"), "verify", "--man=no", "web.service"],
        env={"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    if key is None:
        assert "50-secretsmith.conf" in again.stderr, "it did read the drop-in"


def test_the_sandbox_lets_it_reach_its_keys() -> None:
    def lines(key: str) -> set[str]:
        tree = {
            "version": 1,
            "host": "a",
            "directory": "/run/s",
            "generations": "/run/s.d",
            "identities": ["/k"],
        }
        made = parse_manifest(json.dumps({**tree, "secrets": [], "credential_key": key}).encode())
        return set(unit_files(made, "/m", "/p")[ACTIVATE].splitlines())

    assert {"PrivateDevices=yes", "ReadWritePaths=-/var/lib/systemd"} <= lines("host")
    assert {"DevicePolicy=closed", "DeviceAllow=/dev/tpmrm0 rw"} <= lines("tpm2")
    assert not {"PrivateDevices=yes", "ReadWritePaths=-/var/lib/systemd"} & lines("tpm2")
    assert {"DevicePolicy=closed", "ReadWritePaths=-/var/lib/systemd"} <= lines("host+tpm2")


# -- encrypting again -----------------------------------------------------------------------------------------------


def test_a_unit_would_be_handed_the_value(sealed: Host, creds: Creds) -> None:
    assert creds.opened(store(sealed) / WEB, "db") == b"hunter2\0\xff"
    for path, mode in ((store(sealed).parent, 0o700), (store(sealed), 0o700), (store(sealed) / WEB, 0o600)):
        assert path.stat().st_mode & 0o777 == mode
    assert not [path for path in store(sealed).iterdir() if b"hunter2" in path.read_bytes()]


def test_only_what_changed_is_encrypted_again(sealed: Host, creds: Creds) -> None:
    before = (store(sealed) / WEB).read_bytes()
    assert run(sealed).reports[0].nothing_done
    sealed.add("other", b"changed", credentials=["web.service:other"])
    outcome = run(sealed)
    assert outcome.reports[0].sealed == ("web.service:other",)
    assert creds.calls() == ["encrypt --with-key=host --name=other - -"]
    assert (store(sealed) / WEB).read_bytes() == before
    sealed.add("db", b"new", credentials=[WEB])
    assert run(sealed).reports[0].sealed == (WEB,)
    assert creds.opened(store(sealed) / WEB, "db") == b"new"


def test_the_same_again_after_a_reboot(sealed: Host, creds: Creds) -> None:
    for path in sorted(sealed.generations.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    sealed.directory.unlink()
    assert run(sealed).exit_code is ExitCode.OK
    assert creds.calls() == []


def test_what_nobody_declares_goes(sealed: Host, creds: Creds) -> None:
    half = store(sealed) / ".web.service:old.secretsmith-tmp"
    half.write_bytes(b"of a run that was killed")
    sealed.add("db", b"hunter2\0\xff", credentials=["app.service:db"])
    outcome = run(sealed)
    assert outcome.reports[0].unsealed == (half.name, WEB)
    assert stored(sealed) == {"app.service:db"}
    del sealed.manifest["credential_key"]
    run(sealed)
    assert stored(sealed) == set()
    assert creds.calls() == ["encrypt --with-key=host --name=db - -"]


@pytest.mark.parametrize("gone", ["the credential", "the index", "the machine's secret", "all of it"])
def test_what_is_lost_is_made_again(sealed: Host, creds: Creds, gone: str) -> None:
    if gone in ("the credential", "all of it"):
        (store(sealed) / WEB).unlink()
    if gone in ("the index", "all of it"):
        (store(sealed) / "index.json").write_bytes(b"{")
    if gone == "the machine's secret":
        creds.secret.unlink()
    assert run(sealed).reports[0].sealed == (WEB,)
    assert creds.opened(store(sealed) / WEB, "db") == b"hunter2\0\xff"
    assert run(sealed).reports[0].nothing_done


def test_a_failure_is_told_and_tried_again(sealed: Host, creds: Creds) -> None:
    (creds.folder / "broken").write_text("Some warning.\nFailed to talk to the TPM.\n")
    sealed.add("db", b"new", credentials=[WEB])
    outcome = run(sealed)
    (error,) = outcome.errors()
    assert (error.code, outcome.exit_code) == (Code.CREDENTIAL, ExitCode.ERROR)
    assert error.message == "web1: db: systemd-creds encrypt --with-key=host: failed to talk to the TPM"
    assert sealed.installed()["db"] == b"new", "the value itself is installed"
    assert sealed.status()["secrets"]["db"]["code"] == "E_CREDENTIAL"
    assert run(sealed).exit_code is ExitCode.ERROR, "not forgotten"
    assert creds.opened(store(sealed) / WEB, "db") == b"hunter2\0\xff", "the old one is whole"
    (creds.folder / "broken").unlink()
    assert run(sealed).exit_code is ExitCode.OK
    assert creds.opened(store(sealed) / WEB, "db") == b"new"
    assert "code" not in sealed.status()["secrets"]["db"]


def test_one_that_is_not_required_is_a_note(sealed: Host, creds: Creds) -> None:
    (creds.folder / "broken").write_text("no")
    sealed.add("db", b"new", credentials=[WEB], required=False)
    outcome = run(sealed)
    assert outcome.exit_code is ExitCode.OK
    assert any("db: systemd-creds" in note for note in outcome.notes())


def test_without_a_tpm(sealed: Host, creds: Creds) -> None:
    sealed.manifest["credential_key"] = "tpm2"
    outcome = run(sealed)
    if outcome.exit_code is ExitCode.OK:
        pytest.skip("there is a TPM here")
    (error,) = outcome.errors()
    assert error.code is Code.CREDENTIAL and "TPM" in error.message and "has-tpm2" in error.hints[0]
    assert creds.calls() == ["encrypt --with-key=tpm2 --name=db - -"]


def test_without_the_program(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, as_root: None
) -> None:
    monkeypatch.setattr(sealing, "_SEARCHED", (str(tmp_path),))
    host.manifest["credential_key"] = "host"
    host.add("db", credentials=[WEB])
    (error,) = run(host).errors()
    assert error.message == f"web1: db: no systemd-creds in {tmp_path}"
    assert "credential_key" in error.hints[0]


def test_too_large(creds: Creds) -> None:
    with pytest.raises(Exception, match="1024 KiB") as caught:
        sealing.seal(Sensitive(b"x" * (1024 * 1024 + 1)), "db", CredentialKey.HOST)
    assert getattr(caught.value, "code", None) is Code.CREDENTIAL
    assert creds.calls() == []
    assert sealing.seal(Sensitive(b"x" * 1024 * 1024), "db", CredentialKey.HOST)


def test_what_is_stale_keeps_its_credential(sealed: Host, creds: Creds) -> None:
    before = (store(sealed) / WEB).read_bytes()
    sealed.reinstall()
    assert run(sealed).exit_code is ExitCode.CANNOT_DECRYPT
    assert (store(sealed) / WEB).read_bytes() == before
    assert creds.calls() == []


@pytest.mark.parametrize("way", ["readers", "max_stale"])
def test_what_this_host_may_not_have_goes(sealed: Host, creds: Creds, way: str) -> None:
    fields = {"readers": ["SHA256:" + "A" * 43]} if way == "readers" else {"max_stale": "1s"}
    sealed.manifest["secrets"][0] |= fields
    sealed.reinstall()
    sealed.moment = type(sealed.moment)(sealed.moment.wall + 9, sealed.moment.boot + 9)
    run(sealed)
    sealed.moment = type(sealed.moment)(sealed.moment.wall + 9, sealed.moment.boot + 9)
    run(sealed)
    assert stored(sealed) == set()


def test_a_template(sealed: Host, creds: Creds) -> None:
    sealed.manifest["templates"] = [
        {
            "name": "dsn",
            "content": "pw={{o}}",
            "placeholders": {"{{o}}": {"secret": "other"}},
            "credentials": ["web.service:dsn"],
        }
    ]
    assert run(sealed).reports[0].sealed == ("web.service:dsn",)
    assert creds.opened(store(sealed) / "web.service:dsn", "dsn") == b"pw=value"
    sealed.add("other", b"changed")
    assert run(sealed).reports[0].sealed == ("web.service:dsn",)
    assert creds.opened(store(sealed) / "web.service:dsn", "dsn") == b"pw=changed"


def test_a_dry_run_only_says_so(host: Host, creds: Creds) -> None:
    host.manifest["credential_key"] = "host"
    host.add("db", credentials=[WEB])
    lines = [*host.preview(paths=str(host.paths_file)).lines()]
    assert f"would encrypt for the disk: {WEB}" in lines
    assert creds.calls() == [] and not store(host).exists()
    run(host)
    assert not any("disk" in line for line in host.preview(paths=str(host.paths_file)).lines())


def test_not_before_users_exist(host: Host, creds: Creds) -> None:
    host.manifest["credential_key"] = "host"
    host.add("hash", phase="users", credentials=["web.service:hash"])
    assert host.door("--plain-folder", "--phase", "users").returncode == 0
    assert not store(host).exists()
    outcome = run(host)
    assert [report.sealed for report in outcome.reports] == [("web.service:hash",), ()]


@pytest.mark.parametrize("how", ["link", "writable", "file"])
def test_a_folder_of_somebody_else(host: Host, creds: Creds, how: str) -> None:
    host.manifest["credential_key"] = "host"
    host.add("db", credentials=[WEB])
    store(host).parent.mkdir(mode=0o700)
    victim = host.folder / "victim"
    victim.mkdir()
    (victim / "precious").write_bytes(b"x")
    if how == "link":
        store(host).symlink_to(victim)
    elif how == "file":
        store(host).write_bytes(b"")
    else:
        store(host).mkdir()
        store(host).chmod(0o777)
    outcome = run(host)
    assert outcome.exit_code is ExitCode.ERROR
    assert any("credstore" in error.message for error in outcome.errors())
    assert host.installed()["db"] == b"value"
    assert [path.name for path in victim.iterdir()] == ["precious"] and creds.calls() == []
