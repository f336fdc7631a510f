"""From a host file to its manifest, whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from secretsmith.errors import NotFound, SecretsmithError
from secretsmith.manifest import (
    LIVE_ROOT,
    Filter,
    Manifest,
    Method,
    Phase,
    SourceFormat,
    live_path,
)
from secretsmith.plugin.api import PluginContext
from secretsmith.testing import sample_context
from secretsmith_systemd.hostfiles import SystemdBuilder

FULL = """
version = 1
keep = 3
identities = ["/etc/ssh/ssh_host_ed25519_key", "/var/lib/key"]

[secrets.db]
file = "secrets/web/db.age"
owner = "postgres"
group = "postgres"
mode = "0440"
path = "/etc/postgres/password"
method = "copy"
plaintext_on_disk = true
required = false
max_stale = "30d"
restart_units = ["postgresql.service"]
reload_units = [
  "nginx.service",
]
source = "pass:web/db#password"
credential = "postgresql.service:db"

[secrets."tls/key"]
file = "secrets/web1/tls.age"
phase = "users"

[templates."app.env"]
content = '''
DSN=postgres://app:{{db}}@db/app
[not.a.table]
'''
format = "dotenv"
owner = "app"
credential = ["app.service:env", "app@.service:env"]
placeholders = { "{{db}}" = { secret = "db", filter = "url" } }

[host]
creds = "host+tpm2"
"""


def write(root: Path, host: str, text: str) -> None:
    folder = root / "secretsmith.d"
    folder.mkdir(exist_ok=True)
    (folder / f"{host}.toml").write_text(text)


def manifest(context: PluginContext, host: str = "web1", source_root: str | None = None) -> Manifest:
    return SystemdBuilder().manifests(context, [host], source_root)[host]


@pytest.fixture
def context(tmp_path: Path) -> PluginContext:
    return sample_context(tmp_path)


def test_every_field_arrives(context: PluginContext) -> None:
    write(context.root, "web1", FULL)
    made = manifest(context, source_root="/var/lib/secretsmith")
    assert (made.directory, made.generations, made.keep) == ("/run/secrets", "/run/secrets.d", 3)
    assert made.identities == ("/etc/ssh/ssh_host_ed25519_key", "/var/lib/key")
    db, tls = made.secrets
    assert (db.name, db.source, db.id) == (
        "db",
        "/var/lib/secretsmith/secrets/web/db.age",
        "secrets/web/db.age",
    )
    assert (db.owner, db.group, db.mode, db.path) == (
        "postgres",
        "postgres",
        "0440",
        "/etc/postgres/password",
    )
    assert (db.method, db.plaintext_on_disk, db.required, db.max_stale) == (Method.COPY, True, False, "30d")
    assert (db.restart_units, db.reload_units) == (("postgresql.service",), ("nginx.service",))
    assert (db.format, db.key, db.phase) == (SourceFormat.AGE, None, Phase.SERVICES)
    assert (tls.name, tls.owner, tls.mode, tls.phase) == ("tls/key", "root", "0400", Phase.USERS)
    assert made.credential_key == "host+tpm2"
    assert (db.credentials, tls.credentials) == (("postgresql.service:db",), ())
    (app,) = made.templates
    assert app.credentials == ("app.service:env", "app@.service:env")
    assert app.content.startswith("DSN=postgres://app:{{db}}@")
    assert app.placeholders["{{db}}"].filter is Filter.URL


def test_a_source_alone_has_a_file_of_its_own(context: PluginContext) -> None:
    """It is declared before it is there: that is how `sync --build` learns what to make."""
    write(context.root, "web1", '[secrets.new]\nsource = "pass:new"\n[secrets."tls/a"]\nsource = "pass:a"\n')
    (host,) = SystemdBuilder().hosts(context)
    assert [(each.file, each.source, each.format) for each in host.secrets] == [
        ("secrets/web1/new.age", "pass:new", "age"),
        ("secrets/web1/tls/a.age", "pass:a", "age"),
    ]
    found = SystemdBuilder().findings(context)
    assert {finding.hint for finding in found} == {"secretsmith sync --build"}
    with pytest.raises(NotFound) as caught:
        manifest(context)
    assert caught.value.hints == ("secretsmith sync --build",)


@pytest.mark.parametrize(("folder", "file"), [("vault", "vault/web1/new.age"), (".", "secrets/web1/new.age")])
def test_its_folder_is_that_of_the_secrets(context: PluginContext, folder: str, file: str) -> None:
    registry = context.root / "secretsmith.toml"
    registry.write_text(registry.read_text().replace("version = 1", f'version = 1\nsecrets = "{folder}"'))
    write(context.root, "web1", '[secrets.new]\nsource = "pass:new"\n')
    assert SystemdBuilder().hosts(context)[0].secrets[0].file == file


def test_declarations_tell_what_others_need(context: PluginContext) -> None:
    write(context.root, "web1", FULL)
    (host,) = SystemdBuilder().hosts(context)
    db = host.secrets[0]
    assert (db.name, db.file, db.source) == ("db", "secrets/web/db.age", "pass:web/db#password")
    assert db.origin == "secretsmith.d/web1.toml:6"


def test_a_live_value_is_in_no_file_and_comes_with_a_deploy(context: PluginContext) -> None:
    text = (
        '[secrets.api]\nsource = "pass:web/api"\nlive = true\nowner = "app"\ncredential = "web.service:api"\n'
    )
    write(context.root, "web1", text)
    (host,) = SystemdBuilder().hosts(context)
    (api,) = host.secrets
    assert (api.live, api.file, api.source, api.format) == (
        True,
        "",
        "pass:web/api",
        "age",
    )
    assert host.stored == ()
    assert SystemdBuilder().findings(context) == []
    for root in (None, "/srv"):
        (api_there,) = manifest(context, source_root=root).secrets
        assert api_there.source == f"{LIVE_ROOT}/{live_path('pass:web/api')}"
        assert (api_there.live, api_there.id, api_there.owner) == ("pass:web/api", "pass:web/api", "app")
        assert (api_there.credentials, api_there.readers) == (("web.service:api",), None)
    write(context.root, "web1", '[secrets.db]\nfile = "secrets/web/db.age"\nlive = false\n')
    (db,) = SystemdBuilder().hosts(context)[0].secrets
    assert (db.live, manifest(context).secrets[0].live) == (False, None)


def test_without_a_source_root_the_checkout_is_the_place(context: PluginContext) -> None:
    write(context.root, "web1", FULL)
    assert Path(manifest(context).secrets[0].source) == context.root / "secrets/web/db.age"


def test_readers_are_the_wanted_ones_also_of_a_drifted_file(context: PluginContext) -> None:
    write(context.root, "web1", FULL)
    stale = (context.root / "secrets/web2/tls.age").read_bytes()
    (context.root / "secrets/web1/tls.age").write_bytes(stale)
    made = manifest(context)
    tls = made.secrets[1]
    key = {who.name: who.keys[0] for who in context.principals()}
    assert sorted(tls.readers or ()) == sorted([key["alice"], key["web1"]])
    # web2 does not want it and is named all the same: its stanza is what the host will meet in the header.
    assert made.principals[key["web2"]].name == "web2"


def test_a_former_key_of_the_host_is_named(tmp_path: Path) -> None:
    context = sample_context(tmp_path)
    registry = tmp_path / "secretsmith.toml"
    text = registry.read_text()
    blob = next(line for line in text.splitlines() if "web2@example" in line)
    old = blob.split('"')[1]
    # web2 goes, and its key is one that web1 had before it was reinstalled.
    text = text.partition("[hosts.web2]")[0] + text.partition("[hosts.web2]")[2].partition("\n\n")[2]
    text = text.replace('readers = ["web1", "web2"]', 'readers = ["web1"]').partition(
        '[[rules]]\npath = "secrets/web2'
    )[0]
    retired = f'[[hosts.web1.retired]]\nkey = "{old}"\nsince = "2026-01-02"\nuntil = "2026-03-04"\nreason = "reinstalled"\n'
    registry.write_text(text.replace("[[rules]]", retired + "\n[[rules]]", 1))
    from secretsmith.interaction import NoInteraction
    from secretsmith.operations.plugincontext import RepositoryContext
    from secretsmith.project import open_project

    context = RepositoryContext(open_project(tmp_path, environ={}, interaction=NoInteraction()))
    write(tmp_path, "web1", '[secrets.tls]\nfile = "secrets/web1/tls.age"\n')
    made = manifest(context)
    web1 = next(who for who in context.principals() if who.name == "web1")
    assert len(web1.former) == 1
    assert made.principals[web1.former[0]].name == "web1"
    assert made.host_key == web1.keys[0] != web1.former[0]


def test_a_file_without_a_rule_has_the_readers_of_the_lock(context: PluginContext) -> None:
    registry = context.root / "secretsmith.toml"
    registry.write_text(registry.read_text().replace('path = "secrets/web/**"', 'path = "secrets/other/**"'))
    from secretsmith.interaction import NoInteraction
    from secretsmith.operations.plugincontext import RepositoryContext
    from secretsmith.project import open_project

    again = RepositoryContext(open_project(context.root, environ={}, interaction=NoInteraction()))
    write(context.root, "web1", '[secrets.db]\nfile = "secrets/web/db.age"\n')
    assert len(manifest(again).secrets[0].readers or ()) == 3
    (finding,) = SystemdBuilder().findings(again)
    assert finding.severity == "error"
    assert "no rule lets it read" in finding.message
    assert finding.hint == "secretsmith grant secrets/web/db.age --to web1"


def test_findings_lead_to_the_line(context: PluginContext) -> None:
    write(
        context.root,
        "web1",
        '\n[secrets.a]\nfile = "secrets/web1/none.age"\n[secrets.b]\nfile = "secrets/web2/tls.age"\n',
    )
    write(context.root, "web9", '[secrets.a]\nfile = "secrets/web/db.age"\n')
    found = [(finding.path, finding.message) for finding in SystemdBuilder().findings(context)]
    assert found == [
        ("secretsmith.d/web1.toml:2", "there is no file secrets/web1/none.age"),
        ("secretsmith.d/web1.toml:4", "web1 declares secrets/web2/tls.age, which no rule lets it read"),
        ("secretsmith.d/web9.toml", "the registry has no host web9"),
    ]


def test_a_good_declaration_has_no_findings(context: PluginContext) -> None:
    write(context.root, "web1", FULL)
    assert list(SystemdBuilder().findings(context)) == []


def test_a_missing_file_and_an_unregistered_host_have_no_manifest(context: PluginContext) -> None:
    write(context.root, "web1", '[secrets.a]\n\nfile = "secrets/web1/none.age"\n')
    with pytest.raises(
        NotFound, match=r"^secretsmith.d/web1.toml:3: there is no file secrets/web1/none.age$"
    ) as caught:
        manifest(context)
    assert caught.value.hints == ("secretsmith set secrets/web1/none.age",)
    write(context.root, "web9", "")
    with pytest.raises(NotFound, match="the registry has no host web9") as caught:
        manifest(context, "web9")
    assert caught.value.hints == ("secretsmith host add web9",)


def test_a_symlink_is_no_file_of_the_repository(context: PluginContext, tmp_path: Path) -> None:
    write(
        context.root,
        "web1",
        '[secrets.a]\nfile = "secrets/web1/link.age"\n[secrets.b]\nfile = "linked/tls.age"\n',
    )
    os.symlink("tls.age", context.root / "secrets/web1/link.age")
    os.symlink("secrets/web1", context.root / "linked")
    with pytest.raises(SecretsmithError):
        manifest(context)


def test_a_host_file_that_is_a_symlink_is_not_read(context: PluginContext) -> None:
    write(context.root, "web1", FULL)
    os.symlink("web1.toml", context.root / "secretsmith.d/web2.toml")
    assert [host.name for host in SystemdBuilder().hosts(context)] == ["web1"]


def test_a_thousand_secrets(context: PluginContext) -> None:
    tables = [f'[secrets.s{number}]\nfile = "secrets/web/db.age"\nmode = "0440"\n' for number in range(1000)]
    write(context.root, "web1", "\n".join(tables))
    assert len(manifest(context).secrets) == 1000
