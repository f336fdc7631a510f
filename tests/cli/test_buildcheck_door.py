"""The check as a build runs it: a plain Python, this source tree, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import keys
import pytest
import sopsfleet
from fleet import Fleet, make_fleet

import secretsmith

ROOT = Path(secretsmith.__file__).resolve().parents[1]
SCHEMA = json.loads((ROOT / "docs/reference/schemas/build-check.schema.json").read_text())
STARTS = """
import json, os, sys
sys.path.insert(0, os.environ["TREE"])
from secretsmith.cli.{door} import main
code = main(sys.argv[1:])
sys.stdout.flush()
with open(os.environ["MODULES"], "w") as out:
    json.dump(sorted(sys.modules), out)
raise SystemExit(code)
"""
MANY = 230  # modules, of which Python itself starts with some 30


class Site:
    """A fleet, its manifest for web1, and a Python without site-packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fleet: Fleet = make_fleet(folder)
        self.fleet.accept_all()
        self.secrets: list[dict[str, Any]] = []

    def declare(self, path: str, form: str, **members: Any) -> None:
        source = str(self.fleet.root / path)
        name = path.rpartition("/")[2]
        self.secrets.append({"name": name, "source": source, "id": path, "format": form, **members})

    def run(
        self, *words: str, door: str = "buildcheck", code: int = 0
    ) -> tuple[subprocess.CompletedProcess[bytes], set[str]]:
        tree = {
            "version": 1,
            "host": "web1",
            "directory": "/run/secrets",
            "generations": "/run/secrets.d",
            "identities": ["/etc/ssh/ssh_host_ed25519_key"],
            "secrets": self.secrets,
        }
        (self.folder / "manifest.json").write_text(json.dumps(tree))
        record = self.folder / "modules.json"
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", STARTS.format(door=door), *words],
            cwd=self.folder,
            env={"PATH": "/nonexistent", "TREE": str(ROOT), "MODULES": str(record)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, (done.stdout.decode(), done.stderr.decode())
        assert b"Traceback" not in done.stderr
        return done, set(json.loads(record.read_text()))

    @property
    def words(self) -> tuple[str, ...]:
        root = self.fleet.root
        return (
            *("--manifest", "manifest.json", "--registry", str(root / "secretsmith.toml")),
            *("--lock", str(root / "secretsmith.lock")),
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.fleet.put("secrets/web/db.age", b"hunter2")
    site.declare("secrets/web/db.age", "age")
    return site


def foreign(modules: set[str]) -> set[str]:
    tops = {name.partition(".")[0] for name in modules}
    return tops - sys.stdlib_module_names - {"secretsmith", "__main__"}


@pytest.mark.parametrize(
    ("door", "before"), [("buildcheck", ()), ("door", ("build", "check"))], ids=["for builds", "for people"]
)
def test_the_standard_library_is_enough(site: Site, door: str, before: tuple[str, ...]) -> None:
    forms = {".yaml": "yaml", ".json": "json", ".env": "dotenv", ".ini": "ini", ".bin": "binary"}
    for suffix, form in forms.items():
        path = f"secrets/web/app{suffix}"
        sopsfleet.put(site.fleet, path, [["alice", "web1", "web2"]])
        site.declare(path, form)
    done, modules = site.run(*before, *site.words, door=door)
    assert done.stdout == b""
    assert done.stderr == b"web1: 6 files; opens: 6 proven by the file; nothing found\n"
    assert not foreign(modules)


def test_few_modules_and_nothing_that_opens_files_or_starts_programs(site: Site) -> None:
    _, modules = site.run(*site.words)
    ours = {name.removeprefix("secretsmith.") for name in modules if name.startswith("secretsmith.")}
    assert not {name for name in ours if name.startswith(("identities", "plugin", "store.git"))}
    assert not ours & {"crypto.agefile", "crypto.privatekey", "documents.sopsopen", "crypto.valuecipher"}
    assert "subprocess" not in modules
    assert len(modules) < MANY


def test_the_story(site: Site) -> None:
    before = site.fleet.key("web1").fingerprint
    old = site.fleet.hosts["web1"].public
    site.fleet.hosts["web1"] = keys.ed25519_key("root@web1")
    site.fleet.extra = (
        f'[[hosts.web1.retired]]\nkey = "{old}"\nuntil = "2026-11-20"\nreason = "reinstalled"\n'
    )
    site.fleet.write()
    done, modules = site.run(*site.words, code=3)
    now = site.fleet.key("web1").fingerprint
    assert done.stdout.decode() == (
        f"error: secrets/web/db.age: web1 is registered as {now} but secrets/web/db.age is encrypted for {before}"
        " (old key of web1, reinstalled 2026-11-20): run secretsmith rekey (E_FORMER_KEY; by the file)\n"
        "  secretsmith rekey secrets/web/db.age\n"
    )
    assert done.stderr == b"web1: 1 file; 1 error\n"
    assert not foreign(modules)
    site.fleet.accept_all()
    site.fleet.put("secrets/web/db.age", b"hunter2")
    site.run(*site.words)


def test_json(site: Site) -> None:
    site.declare("secrets/web/none.age", "age")
    done, modules = site.run(*site.words, "--json", code=3)
    tree = json.loads(done.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(tree)
    assert tree["host"] == "web1"
    assert tree["sources"] == 2
    assert tree["opens"] == {"file": 1, "lock": 0, "untold": 0, "refused": 0}
    assert [finding["code"] for finding in tree["findings"]] == ["E_NOT_FOUND"]
    assert done.stderr == b""
    assert not foreign(modules)


def test_yaml_that_only_ruamel_reads_is_said(site: Site) -> None:
    json_text = sopsfleet.put(site.fleet, "secrets/web/app.json", [["alice", "web1", "web2"]]).read_text()
    (site.fleet.root / "secrets/web/app.yaml").write_text(json_text.replace("\t", " "))
    site.declare("secrets/web/app.yaml", "yaml", key="mail/smtp")
    done, modules = site.run(*site.words)
    assert done.stdout.startswith(b"info: secrets/web/app.yaml: is YAML that sops does not write; ")
    assert not foreign(modules)


def test_yaml_in_clear_is_refused_without_ruamel_too(site: Site) -> None:
    (site.fleet.root / "secrets/web/app.yaml").write_text('{"password": "hunter2"}\n')
    site.declare("secrets/web/app.yaml", "yaml")
    done, _ = site.run(*site.words, code=3)
    assert b"is not encrypted (E_PLAINTEXT)" in done.stdout
    assert b"hunter2" not in done.stdout


@pytest.mark.parametrize(
    "words", [(), ("--manifest", "m"), ("x",), ("--manifest", "m", "--registry", "r", "--what")]
)
def test_mistakes(site: Site, words: tuple[str, ...]) -> None:
    done, _ = site.run(*words, code=2)
    assert done.stderr.startswith(b"secretsmith: error: wants --manifest FILE and --registry FILE")


def test_help_and_missing_files(site: Site) -> None:
    done, _ = site.run("--help")
    assert done.stdout.startswith(b"usage: python3 -m secretsmith.cli.buildcheck ")
    done, _ = site.run("--manifest", "nowhere", "--registry", "nowhere", code=4)
    assert done.stderr.startswith(b"secretsmith: error: nowhere")


def test_as_a_module(site: Site) -> None:
    site.run(*site.words)  # writes the manifest
    done = subprocess.run(
        [sys.executable, "-m", "secretsmith.cli.buildcheck", *site.words],
        cwd=site.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_the_tree_may_be_read_only_and_elsewhere(site: Site, tmp_path: Path) -> None:
    """A store has other paths and nobody writes to it."""
    store = tmp_path / "store"
    shutil.copytree(site.fleet.root / "secrets", store)
    for entry in site.secrets:
        entry["source"] = str(store / entry["id"].removeprefix("secrets/"))
    shutil.rmtree(site.fleet.root / "secrets")
    site.run(*site.words)
