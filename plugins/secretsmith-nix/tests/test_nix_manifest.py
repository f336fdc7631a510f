"""Declarations → manifest, by builtins alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nixstores import CHECKOUT, Nix

from secretsmith.manifest import LIVE_ROOT, Filter, Manifest, Output, Phase, live_path, parse_manifest
from secretsmith.plugin.loader import Loader
from secretsmith.testing import sample_context


def made(nix: Nix, fleet: Path, secrets: str, templates: str = "{ }", more: str = "") -> Manifest:
    tree = nix.value(
        f'secretsmith.mkManifest {{ host = "web1"; root = {fleet}; secrets = {secrets}; templates = {templates}; {more} }}'
    )
    return parse_manifest(json.dumps(tree).encode())


def test_all_fields_arrive(nix: Nix, fleet: Path) -> None:
    secrets = f"""{{
      full = {{
        file = {fleet}/secrets/mail.yaml; key = "smtp"; output = "json"; owner = "app"; group = "tls"; mode = "0440";
        path = "/etc/app/mail"; method = "copy"; plaintextOnDisk = true; required = false; maxStale = "30d";
        restartUnits = [ "a.service" ]; reloadUnits = [ "b.socket" ]; credentials = [ "a.service:mail" "b.socket:mail" ];
      }};
      "web/plain".file = {fleet}/secrets/db.age;
      early = {{ file = {fleet}/secrets/db.age; neededForUsers = true; uid = 7; gid = 8; }};
      renamed = {{ name = "other"; file = {fleet}/secrets/db.age; }};
    }}"""
    manifest = made(
        nix, fleet, secrets, more='identityPaths = [ "/persist/key" ]; keep = 5; credentialKey = "host+tpm2";'
    )
    found = {secret.name: secret for secret in manifest.secrets}
    assert (manifest.host, manifest.keep, manifest.identities) == ("web1", 5, ("/persist/key",))
    assert (manifest.directory, manifest.generations) == ("/run/secrets", "/run/secrets.d")
    assert set(found) == {"full", "web/plain", "early", "other"}
    full = found["full"]
    assert (full.key, full.output, full.id, full.format.value) == (
        "smtp",
        Output.JSON,
        "secrets/mail.yaml",
        "yaml",
    )
    assert (full.owner, full.group, full.mode, full.path) == ("app", "tls", "0440", "/etc/app/mail")
    assert (full.method.value, full.plaintext_on_disk, full.required, full.max_stale) == (
        "copy",
        True,
        False,
        "30d",
    )
    assert (full.restart_units, full.reload_units) == (("a.service",), ("b.socket",))
    assert (full.credentials, manifest.credential_key) == (("a.service:mail", "b.socket:mail"), "host+tpm2")
    plain, early = found["web/plain"], found["early"]
    assert (plain.owner, plain.mode, plain.path, plain.phase) == ("root", "0400", None, Phase.SERVICES)
    assert (early.phase, early.owner, early.group) == (Phase.USERS, "7", "8")


def test_a_live_value_lies_where_a_deploy_brings_it(nix: Nix, fleet: Path) -> None:
    declared = '{ api = { source = "pass:web/Käse #1"; live = true; owner = "app"; maxStale = "1d"; }; }'
    (api,) = made(nix, fleet, declared).secrets
    assert api.source == f"{LIVE_ROOT}/{live_path('pass:web/Käse #1')}"
    assert (api.live, api.id, api.format.value) == ("pass:web/Käse #1", "pass:web/Käse #1", "age")
    assert (api.owner, api.max_stale, api.readers) == ("app", "1d", None)
    text = f'{{ host = "web1"; root = {fleet}; secrets = {declared}; }}'
    (placed,) = nix.value(f'(secretsmith.evaluate {text}).manifestAt "/srv"')["secrets"]
    assert placed["source"] == api.source
    (told,) = nix.value(f"(secretsmith.evaluate {text}).declaration")["secrets"]
    assert (told["file"], told["live"], told["source"]) == (None, True, "pass:web/Käse #1")


def test_a_host_gets_its_files_and_no_others(nix: Nix, fleet: Path) -> None:
    manifest = made(nix, fleet, f"{{ db.file = {fleet}/secrets/db.age; }}")
    source = Path(manifest.secrets[0].source)
    assert source.parent == nix.root / "store"
    assert source.read_bytes() == (fleet / "secrets/db.age").read_bytes()
    assert [path.name[33:] for path in source.parent.iterdir() if path.name != ".links"] == ["db.age"]


def test_a_file_outside_does_not_pass_for_one_inside(nix: Nix, fleet: Path, tmp_path: Path) -> None:
    """An input of the flake may have a file of the same path, whose readers are none of this repository's business."""
    other = tmp_path / "other"
    (other / "secrets").mkdir(parents=True)
    (other / "secrets" / "db.age").write_bytes((fleet / "secrets/mail.yaml").read_bytes())
    declared = f'{{ db.file = builtins.path {{ path = {other}; name = "source"; }} + "/secrets/db.age"; }}'
    (secret,) = made(nix, fleet, declared).secrets
    assert secret.id == f"{nix.root}/store/source/secrets/db.age", "and no digest, which changes all the time"
    assert secret.readers is None
    assert Path(secret.source).read_bytes() == (other / "secrets/db.age").read_bytes()
    host = f'secretsmith.evaluate {{ host = "web1"; root = {fleet}; secrets = {declared}; }}'
    assert nix.value(f"({host}).declaration.secrets")[0]["file"] == secret.id
    (placed,) = nix.value(f'(({host}).manifestAt "/srv").secrets')
    assert Path(placed["source"]).read_bytes() == (other / "secrets/db.age").read_bytes()


def test_names_that_a_store_path_cannot_have(nix: Nix, fleet: Path) -> None:
    (fleet / "secrets" / ".döb é.age").write_bytes((fleet / "secrets/db.age").read_bytes())
    manifest = made(nix, fleet, f'{{ db.file = {fleet} + "/secrets/.döb é.age"; }}')
    assert Path(manifest.secrets[0].source).name.endswith("-secret")
    assert manifest.secrets[0].id == "secrets/.döb é.age"


def test_keys_and_readers_are_those_that_python_finds(nix: Nix, tmp_path: Path) -> None:
    """Compared with the builder for plain machines, which asks secretsmith itself. The age form of ssh keys is left out."""
    context = sample_context(tmp_path)
    (tmp_path / "secretsmith.d").mkdir()
    (tmp_path / "secretsmith.d/web1.toml").write_text('[secrets.db]\nfile = "secrets/web/db.age"\n')
    wanted = Loader().builder("systemd").plugin.manifests(context, ["web1"], None)["web1"]
    found = made(nix, tmp_path, f"{{ db.file = {tmp_path}/secrets/web/db.age; }}")
    assert found.host_key == wanted.host_key is not None
    assert found.secrets[0].readers == wanted.secrets[0].readers
    assert {key: (who.name, who.ssh_tag) for key, who in found.principals.items()} == {
        key: (who.name, who.ssh_tag) for key, who in wanted.principals.items()
    }
    assert len(found.principals) > 1


def test_where_no_rule_speaks_the_lock_does(nix: Nix, fleet: Path) -> None:
    registry = fleet / "secretsmith.toml"
    registry.write_text(registry.read_text().replace('path = "secrets/db.age"', 'path = "elsewhere"'))
    secrets = f"{{ db.file = {fleet}/secrets/db.age; }}"
    known = made(nix, fleet, secrets)
    lock = json.loads((fleet / "secretsmith.lock").read_text())
    assert list(known.secrets[0].readers or ()) == sorted(lock["files"]["secrets/db.age"]["recipients"])
    with (fleet / "secrets/db.age").open("ab") as file:
        file.write(b"\n")
    assert made(nix, fleet, secrets).secrets[0].readers is None


def test_without_a_registry(nix: Nix, fleet: Path) -> None:
    (fleet / "secretsmith.toml").unlink()
    (fleet / "secretsmith.lock").unlink()
    manifest = made(nix, fleet, f"{{ db.file = {fleet}/secrets/db.age; }}")
    assert (manifest.host_key, manifest.principals, manifest.secrets[0].readers) == (None, {}, None)


def test_the_folder_of_the_registry_is_the_root(nix: Nix, fleet: Path) -> None:
    tree = nix.value(
        f'secretsmith.mkManifest {{ host = "web1"; registry = {fleet}/secretsmith.toml; secrets.db.file = {fleet}/secrets/db.age; }}'
    )
    assert tree["secrets"][0]["id"] == "secrets/db.age"


def test_sources_that_lie_on_the_host(nix: Nix, fleet: Path) -> None:
    tree = nix.value(
        f'(secretsmith.evaluate {{ host = "web1"; root = {fleet}; secrets.db.file = {fleet}/secrets/db.age; }}).manifestAt "/srv/files"'
    )
    assert tree["secrets"][0]["source"] == "/srv/files/secrets/db.age"
    assert not list((nix.root / "store").glob("*db.age"))


def test_a_user(nix: Nix, fleet: Path) -> None:
    more = 'scope = "user"; identityPaths = [ "$HOME/.ssh/id_ed25519" ];'
    manifest = made(nix, fleet, f"{{ db.file = {fleet}/secrets/db.age; }}", more=more)
    assert (manifest.scope.value, manifest.directory) == ("user", "$XDG_RUNTIME_DIR/secrets")


def test_placeholders_are_found_where_they_occur(nix: Nix, fleet: Path) -> None:
    expression = f"""let e = secretsmith.evaluate {{
      host = "web1"; root = {fleet};
      secrets = {{ db.file = {fleet}/secrets/db.age; url.file = {fleet}/secrets/db.age; unused.file = {fleet}/secrets/db.age; }};
      templates.a = {{ content = "${{e.placeholder.db}} ${{e.placeholder.url}} ${{e.placeholder.json.url}} {{{{x}}}} $y"; }};
      templates.b = {{ format = "json"; owner = "app"; content = builtins.toJSON {{ p = e.placeholder.json.db; u = e.placeholder.url; }}; }};
    }}; in e.manifest"""
    tree = nix.value(expression)
    manifest = parse_manifest(json.dumps(tree).encode())
    first, second = manifest.templates
    assert sorted((found.secret, found.filter) for found in first.placeholders.values()) == [
        ("db", Filter.RAW),
        ("url", Filter.JSON),
        ("url", Filter.RAW),
    ]
    assert first.content == " ".join([*_tokens(first.placeholders, "db", "url"), "{{x}} $y"])
    assert {found.filter for found in second.placeholders.values()} == {Filter.JSON, Filter.RAW}
    assert (second.owner, second.format.value) == ("app", "json")


def _tokens(placeholders: Any, db: str, url: str) -> list[str]:
    by = {(found.secret, found.filter): text for text, found in placeholders.items()}
    return [by[db, Filter.RAW], by[url, Filter.RAW], by[url, Filter.JSON]]


def test_every_filter_has_its_token(nix: Nix) -> None:
    assert set(nix.value("secretsmith.filters")) == {item.value for item in Filter}
    tokens = nix.value('map (f: secretsmith.placeholderToken f "db") secretsmith.filters')
    assert len(set(tokens)) == len(Filter)
    assert nix.value('secretsmith.placeholderToken "raw" "dc"') not in tokens


@pytest.mark.parametrize("files", [10, 1000])
def test_a_thousand_secrets_cost_no_more_than_their_share(nix: Nix, fleet: Path, files: int) -> None:
    """Counted, not timed. On a computer of 2020 two take 0.04 s, a thousand 0.11 s, and 0.6 s with as many files."""
    for number in range(files):
        (fleet / "secrets" / f"f{number}.age").write_bytes((fleet / "secrets/db.age").read_bytes())

    def cost(count: int) -> int:
        each = f"""builtins.listToAttrs (builtins.genList (i: {{
          name = "s${{toString i}}";
          value = {{ file = {fleet}/secrets + "/f${{toString (i - (i / {files}) * {files})}}.age"; restartUnits = [ "a.service" ]; }};
        }}) {count})"""
        return nix.calls(f'secretsmith.mkManifest {{ host = "web1"; root = {fleet}; secrets = {each}; }}')

    few, some, many = cost(2), cost(100), cost(1000)
    assert many - few < 11 * (some - few)


def test_the_declaration_looks_at_no_file(nix: Nix, fleet: Path) -> None:
    declared = nix.value(
        f'(secretsmith.evaluate {{ host = "web1"; root = {fleet}; secrets.db = {{ file = {fleet}/secrets/none.age; owner = "app"; '
        'restartUnits = [ "b.service" ]; reloadUnits = [ "a.service" "b.service" ]; source = "pass:web/db"; }; }).declaration'
    )
    (secret,) = declared["secrets"]
    assert secret == {
        "name": "db",
        "file": "secrets/none.age",
        "format": "age",
        "key": None,
        "source": "pass:web/db",
        "live": False,
        "owner": "app",
        "group": "root",
        "mode": "0400",
        "origin": None,
        "option": "secretsmith.secrets.db",
        "units": ["a.service", "b.service"],
    }


def test_the_checkout_is_the_source_of_the_check(nix: Nix) -> None:
    source = Path(nix.value("secretsmith.source"))
    names = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert "secretsmith/cli/buildcheck.py" in names
    assert all(name.startswith("secretsmith/") and name.endswith(".py") for name in names)
    here = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "secretsmith").rglob("*.py")}
    assert here - names <= {name for name in here if "__pycache__" in name}
