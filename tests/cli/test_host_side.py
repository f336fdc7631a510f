"""``secretsmith status`` and ``secretsmith doctor`` as programs: output, exit status, JSON, and where a manifest comes from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hosts import IS_ROOT, ROOT, Host, environment, unmount_below
from keys import ed25519_key

SCHEMAS = ROOT / "docs/reference/schemas"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host with two secrets installed: in memory as root, elsewhere in a plain folder."""
    tmp_path.chmod(0o755)
    made = Host(tmp_path)
    made.add("db", b"hunter2")
    made.add("web/tls.key", b"hunter2", path=str(tmp_path / "tls.key"))
    options = () if IS_ROOT else ("--plain-folder", "--owner-self")
    assert made.door(*options, "--paths", str(tmp_path / "paths/paths.json")).returncode == 0
    yield made
    if IS_ROOT:
        unmount_below(tmp_path)


def run(host: Host, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "secretsmith", *words],
        cwd=cwd or host.folder,
        env=environment(HOME=str(host.folder)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def status(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    record = ("--paths", str(host.folder / "paths/paths.json"))
    return run(host, "status", "--status", str(host.status_file), *record, *words)


def valid(name: str, text: str) -> Any:
    found = json.loads(text)
    jsonschema.validate(found, json.loads((SCHEMAS / f"{name}.schema.json").read_text()))
    return found


def test_status_of_a_healthy_host(host: Host) -> None:
    done = status(host)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["PHASE", "LIVE", "FOLDER", "ON"]
    assert lines[1].split()[:3] == ["services", "1", str(host.generations)]
    assert lines[2].split() == ["NAME", "STATE", "OWNER", "MODE", "AGE", "PATH"]
    assert lines[3].split()[:2] == ["db", "fresh"]
    assert done.returncode == (0 if IS_ROOT else 3)
    if IS_ROOT:
        assert len(lines) == 5
        assert done.stderr.endswith(": all is well\n")


def test_status_knows_the_manifest_that_was_activated(host: Host) -> None:
    found = valid("status", status(host, "--json").stdout)
    assert found["manifest"] == str(host.folder / "manifest.json")
    assert [item["name"] for item in found["secrets"]] == ["db", "web/tls.key"]


def test_status_after_tampering(host: Host) -> None:
    (host.directory.resolve() / "db").chmod(0o644)
    (host.folder / "tls.key").unlink()
    done = status(host)
    assert done.returncode == 3
    assert f"error: {host.directory}/db: was changed since it was installed: its mode is 0644" in done.stdout
    assert f"\n  secretsmith-activate {host.folder}/manifest.json\n" in done.stdout
    assert f"error: {host.folder}/tls.key: the link of web/tls.key is missing (E_CHANGED)" in done.stdout
    again = status(host, "--json")
    assert again.returncode == 3
    codes = [item["code"] for item in valid("status", again.stdout)["findings"]]
    assert codes.count("E_CHANGED") == 2


def test_status_of_a_reinstalled_host_says_what_to_do(host: Host) -> None:
    host.reinstall()
    done = status(host)
    assert done.returncode == 3
    assert "this host's key does not open any of its 2 secret files (E_NO_IDENTITY)" in done.stdout
    assert "\n  on your workstation: secretsmith host reprovision web1 --key " in done.stdout
    hints = [item["hints"] for item in valid("status", status(host, "--json").stdout)["findings"]]
    assert any(len(lines) > 3 for lines in hints)


def test_status_before_any_activation(host: Host, tmp_path: Path) -> None:
    done = run(host, "status", "--status", str(tmp_path / "none.json"))
    assert done.returncode == 4
    assert "no manifest was given" in done.stderr
    assert "hint: on a host: secretsmith status MANIFEST" in done.stderr
    missing = run(host, "status", "--status", str(tmp_path / "none.json"), str(tmp_path / "none"))
    assert missing.returncode == 4


@pytest.mark.skipif(not IS_ROOT, reason="needs root")
def test_status_is_for_root() -> None:
    # Not below pytest's own folder, which is closed to others.
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder))
        host.folder.chmod(0o755)
        host.add("db", b"hunter2")
        try:
            assert host.door().returncode == 0
            done = subprocess.run(
                [sys.executable, "-c", _AS_OTHER, "54321", "status", str(host.folder / "manifest.json")],
                cwd="/",
                env=environment(),
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
        finally:
            unmount_below(host.folder)
    assert done.returncode == 1
    assert "can only be looked at by root" in done.stderr
    assert "hint: sudo secretsmith status" in done.stderr


# Everything is imported while the files can still be read, wherever the checkout lies.
_AS_OTHER = """
import encodings.ascii, os, sys
import secretsmith.cli.commands.status, secretsmith.cli.arguments.host_side, secretsmith.cli.findingtext
import secretsmith.activation.decide, secretsmith.activation.opening.hostkeys, secretsmith.activation.opening.openings
from secretsmith.cli.door import main
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
raise SystemExit(main(sys.argv[2:]))
"""


def test_doctor(host: Host) -> None:
    path = str(host.folder / "manifest.json")
    done = run(host, "doctor", path)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["LOOKED", "AT", "FOUND"]
    found = valid("doctor", run(host, "doctor", "--json", path).stdout)
    assert found["manifest"] == path
    about = [fact["about"] for fact in found["facts"]]
    assert set(about) >= {"user", "memory", "versions", "manifest", "sources", "identity", "owners"}
    recorded = run(host, "doctor", "--status", str(host.status_file), "--json")
    assert json.loads(recorded.stdout)["manifest"] == path


def test_doctor_finds_a_key_that_others_can_read(host: Host) -> None:
    host.key_file.chmod(0o644)
    done = run(host, "doctor", str(host.folder / "manifest.json"))
    assert done.returncode == 3
    assert f"error: {host.key_file}: is readable or writable by others (E_ACCESS)" in done.stdout
    assert f"\n  chmod 600 {host.key_file}\n" in done.stdout
    assert done.stderr.endswith("not as it should be\n")


def test_doctor_of_a_manifest_that_is_not_there(host: Host) -> None:
    done = run(host, "doctor", "none.json")
    assert done.returncode == 3
    assert f"error: {host.folder}/none.json: does not exist (E_NOT_FOUND)" in done.stdout


def test_doctor_in_a_repository_names_check(host: Host, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    key = ed25519_key("alice").write(repository, "alice")
    made = run(host, "init", "--user", "alice", "--key", f"{key}.pub", "--yes", cwd=repository)
    assert made.returncode == 0, made.stderr
    done = run(host, "doctor", "--status", str(tmp_path / "none.json"), cwd=repository)
    assert done.returncode == 4
    assert "for a repository" in done.stderr
    assert "hint: for this repository: secretsmith check" in done.stderr
    outside = run(host, "doctor", "--status", str(tmp_path / "none.json"))
    assert (outside.returncode, "not built yet" in outside.stderr) == (4, False)


def test_nothing_heavy_is_imported(host: Host) -> None:
    code = (
        "import sys; from secretsmith.cli.door import main; main(sys.argv[1:]);"
        "heavy = {'typer', 'rich', 'pydantic', 'click', 'tomlkit', 'ruamel', 'keyring'};"
        "raise SystemExit(','.join(sorted(heavy & {name.partition('.')[0] for name in sys.modules})) or 0)"
    )
    words = ["status", "--status", str(host.status_file)]
    for command in (words, ["doctor", str(host.folder / "manifest.json")]):
        done = subprocess.run(
            [sys.executable, "-c", code, *command],
            env=environment(HOME=os.environ["HOME"]),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stderr.splitlines()[-1].endswith(("all is well", "not as it should be")), done.stderr
