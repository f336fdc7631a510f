"""Live values: fetched by a deploy, on the host for the host alone, in no file of the repository."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from deployhosts import DECLARED, DeployHost
from fakesource import Store
from keys import ed25519_key
from passstores import PassStore

from secretsmith.manifest import LIVE_ROOT, live_path
from secretsmith.operations.deploy.live import without_lacking
from secretsmith.operations.deploy.remote import trees
from secretsmith.operations.deploy.remote.channel import Refused
from secretsmith.store.approved import ApprovedSources

BASE = "/var/lib/secretsmith"
LIVE = DECLARED + '[secrets.token]\nsource = "fake:web/token"\nlive = true\nmode = "0440"\n'
TWO = LIVE + '[secrets.api]\nsource = "fake:web/api"\nlive = true\n'
TOKEN = live_path("fake:web/token")


@pytest.fixture
def store(web1: DeployHost, tmp_path: Path) -> Store:
    """A store with two entries; web1 declares one of them."""
    store = Store(tmp_path / "elsewhere")
    web1.fleet.environ["FAKE_STORE"] = store.variable
    web1.fleet.environ["PYTHONPATH"] += f":{store.python_path}"
    store.put("web/token", b"first token")
    store.put("web/api", b"first api")
    web1.declare(LIVE)
    return store


def fetches(store: Store) -> list[str]:
    return [call for call in store.calls() if call.startswith("fetch")]


def test_a_value_comes_from_its_source_and_is_in_no_file_here(web1: DeployHost, store: Store) -> None:
    before = web1.fleet.files()
    said = web1.deploy("--approve", "fake:web/token")
    assert "+3 new" in said and "fetched fake:web/token for token: the host has none" in said
    assert web1.run("cat /run/secrets/token") == "first token"
    assert web1.run("stat -L -c %a /run/secrets/token") == "440\n"
    assert web1.fleet.files() == before
    assert web1.fleet.holds(b"first token") == []
    manifest = json.loads(web1.run(f"cat {BASE}/current/manifest.json"))
    token = next(secret for secret in manifest["secrets"] if secret["name"] == "token")
    assert token["source"] == f"{BASE}/trees/1/{TOKEN}" and token["live"] == token["id"] == "fake:web/token"
    # For this host and for nobody else, admins included.
    sealed = web1.fleet.folder / "sealed.age"
    web1.run(f"cp {BASE}/current/{TOKEN} {sealed}")
    assert web1.fleet.readers(str(sealed)) == ["web1"]


def test_it_is_asked_for_and_only_for_this_host(web1: DeployHost, store: Store) -> None:
    before = web1.everything()
    said = web1.deploy(code=6)
    assert "may read fake:web/token; nothing was fetched" in said
    assert f"web1 ({web1.fleet.project().registry.hosts['web1'].keys[0].fingerprint})" in said
    assert "--approve fake:web/token" in said and "the same with --dry-run shows" in said
    assert web1.everything() == before and fetches(store) == []
    web1.deploy("--approve", "all")
    approved = ApprovedSources.load(web1.fleet.environ, web1.fleet.root)
    host, alice = (web1.fleet.project().registry.hosts["web1"], web1.fleet.project().registry.users["alice"])
    assert approved.missing("fake:web/token", [host.keys[0].fingerprint]) == ()
    assert approved.missing("fake:web/token", [alice.keys[0].fingerprint]) != ()
    store.put("web/token", b"second token")
    web1.deploy()


def test_what_did_not_change_is_neither_fetched_nor_sent(web1: DeployHost, store: Store) -> None:
    web1.deploy("--approve", "all")
    sealed = web1.run(f"sha256sum < {BASE}/current/{TOKEN}")
    fetches(store)
    assert "nothing to do" in web1.deploy()
    assert web1.run(f"ls {BASE}/trees") == "1\n"
    ssh, tapped = web1.servers.bin / "ssh", web1.fleet.folder / "tapped"
    ssh.write_text(ssh.read_text().replace("exec ", f"tee {tapped} | "))
    web1.fleet.set("secrets/web/db.age", b"second db")
    assert "1 changed" in web1.deploy()
    assert fetches(store) == [] and web1.run(f"readlink {BASE}/current") == "trees/2\n"
    assert web1.run(f"sha256sum < {BASE}/current/{TOKEN}") == sealed
    assert web1.run("cat /run/secrets/token") == "first token"
    raw = web1.fleet.folder / "raw"
    web1.run(f"cp {BASE}/current/{TOKEN} {raw}")
    assert raw.read_bytes() not in tapped.read_bytes()
    store.put("web/token", b"second token")
    said = web1.deploy()
    assert "1 changed" in said and "fetched fake:web/token for token: changed at its source" in said
    assert web1.run("cat /run/secrets/token") == "second token"
    assert b"second token" not in tapped.read_bytes() and b"second token"[::-1] not in tapped.read_bytes()


def test_a_dry_run_fetches_nothing_and_tells(web1: DeployHost, store: Store) -> None:
    template = '[templates.env]\ncontent = "T=@t@"\nplaceholders = { "@t@" = { secret = "token" } }\n'
    web1.declare(LIVE + template)
    before = web1.everything()
    said = web1.deploy("--dry-run")
    assert "would fetch fake:web/token for token: the host has none" in said and "+2 new" in said
    assert "what the host says is without them" in said
    assert web1.everything() == before and fetches(store) == []
    web1.deploy("--approve", "all")
    store.put("web/token", b"second token")
    fetches(store)
    said = web1.deploy("--dry-run")
    assert "would fetch fake:web/token for token: changed at its source" in said and "nothing to do" in said
    assert fetches(store) == [] and web1.run("cat /run/secrets/env") == "T=first token"
    assert "would fetch" not in web1.deploy("--rollback", "--dry-run", code=4)
    for option in ("--dry-run", "--rollback"):
        assert "does not go with them" in web1.deploy(option, "--approve", "all", code=2)


def test_what_cannot_be_fetched_stays_as_it_was(web1: DeployHost, store: Store) -> None:
    web1.deploy("--approve", "all")
    store.put("web/token", b"second token")
    store.beside("locked").touch()
    web1.fleet.set("secrets/web/db.age", b"second db")
    said = web1.deploy(code=3)
    assert "1 changed" in said and "nothing was sent" not in said
    assert "token: fake:web/token was not fetched (the store is locked); web1 keeps" in said
    assert web1.run("cat /run/secrets/token /run/secrets/db") == "first tokensecond db"
    store.beside("locked").unlink()
    assert "fetched fake:web/token for token: changed at its source" in web1.deploy()
    assert web1.run("cat /run/secrets/token") == "second token"
    # The entry is gone, or the whole store: on such a computer nobody is asked for anything.
    (store.folder / "web/token").unlink()
    (web1.fleet.home / ".local/state/secretsmith/sources.json").unlink()
    fetches(store)
    said = web1.deploy(code=3)
    assert "was not fetched (cannot judge: this computer has no such entry in fake)" in said
    assert fetches(store) == [] and web1.run("cat /run/secrets/token") == "second token"


def test_without_an_earlier_value_nothing_is_sent(web1: DeployHost, store: Store) -> None:
    store.beside("locked").touch()
    before = web1.everything()
    said = web1.deploy("--approve", "all", code=5)
    assert "token: the store is locked; web1 has no earlier value, and nothing was sent" in said
    assert web1.everything() == before
    store.beside("locked").unlink()
    (store.folder / "web/token").unlink()
    assert "nothing was sent" in web1.deploy(code=4)
    assert web1.everything() == before


def test_what_is_declared_no_more_is_gone_and_a_rollback_has_its_own(web1: DeployHost, store: Store) -> None:
    web1.declare(TWO)
    web1.deploy("--approve", "all")
    web1.declare(LIVE)
    assert "1 removed" in web1.deploy()
    assert web1.run(f"ls {BASE}/current/live") == f"{TOKEN.removeprefix('live/')}\n"
    assert web1.run("ls /run/secrets").split() == ["db", "smtp", "token"]
    fetches(store)
    assert "+1 new" in web1.deploy("--rollback")
    assert web1.run("cat /run/secrets/api") == "first api" and fetches(store) == []
    web1.declare(DECLARED)
    web1.deploy()
    web1.fleet.set("secrets/web/db.age", b"second db")
    web1.deploy()
    assert web1.run(f"find {BASE} -path '*live*'") == "" and web1.run("ls /run/secrets") == "db\nsmtp\n"


def test_another_key_means_another_encryption(web1: DeployHost, store: Store) -> None:
    web1.declare(TWO)
    web1.deploy("--approve", "all")
    fetches(store)
    new = ed25519_key("root@web1")
    old = web1.fleet.public["web1"]
    web1.fleet.write_registry(web1.fleet.registry.replace(f'["{old}"]', f'["{old}", "{new.public.strip()}"]'))
    web1.fleet.run("rekey", "--accept", "all")
    assert "may read fake:web/" in web1.deploy(code=6), "the new key is another reader"
    said = web1.deploy("--approve", "all")
    assert said.count("the host has other keys now") == 2 and len(fetches(store)) == 2
    # Now the new key alone: what the old one opens is of no use there any more.
    web1.copy_in(new.write(web1.servers.folder, "new"), "/etc/ssh/ssh_host_ed25519_key", 0o600)
    web1.fleet.run("host", "reprovision", "web1", "--key", new.public.strip(), "--yes", "--rekey")
    web1.listen(web1.servers.folder / "new")
    web1.deploy()
    assert len(fetches(store)) == 2 and web1.run("cat /run/secrets/token") == "first token"
    sealed = web1.fleet.folder / "sealed.age"
    web1.run(f"cp {BASE}/current/{TOKEN} {sealed}")
    assert b"ssh-ed25519" in sealed.read_bytes() and sealed.read_bytes().count(b"-> ssh-ed25519") == 1


def test_a_reinstalled_host_whose_source_is_locked_keeps_nothing(web1: DeployHost, store: Store) -> None:
    web1.deploy("--approve", "all")
    new = ed25519_key("root@web1")
    web1.copy_in(new.write(web1.servers.folder, "new"), "/etc/ssh/ssh_host_ed25519_key", 0o600)
    web1.fleet.run("host", "reprovision", "web1", "--key", new.public.strip(), "--yes", "--rekey")
    web1.listen(web1.servers.folder / "new")
    store.beside("locked").touch()
    assert "web1 has no earlier value" in web1.deploy("--approve", "all", code=5)


@pytest.mark.parametrize(
    "damage",
    [
        f"echo damaged > {BASE}/current/{TOKEN}",
        f"rm {BASE}/current/{TOKEN}",
        f"rm {BASE}/current/{TOKEN}; ln -s /etc/shadow {BASE}/current/{TOKEN}",
        f"echo '[]' > {BASE}/current/live.json",
        f'echo \'{{"../../x": {{"sha256": 1}}, "{TOKEN}": 7}}\' > {BASE}/current/live.json',
    ],
)
def test_what_somebody_damaged_there_is_fetched_again(web1: DeployHost, store: Store, damage: str) -> None:
    web1.deploy("--approve", "all")
    fetches(store)
    web1.run(damage)
    assert "the host has none" in web1.deploy()
    assert fetches(store) == ["fetch web/token"] and web1.run("cat /run/secrets/token") == "first token"


def test_two_secrets_of_one_entry_are_fetched_once(web1: DeployHost, store: Store) -> None:
    web1.declare(LIVE + '[secrets.again]\nsource = "fake:web/token"\nlive = true\n')
    web1.deploy("--approve", "all")
    assert fetches(store) == ["fetch web/token"]
    assert web1.run("cat /run/secrets/again /run/secrets/token") == "first tokenfirst token"
    assert web1.run(f"ls {BASE}/current/live").split() == [TOKEN.removeprefix("live/")]


def test_no_command_wants_a_file_or_a_rule_for_it(web1: DeployHost, store: Store) -> None:
    run, registry = web1.fleet.run, web1.fleet.registry
    assert b"web1  systemd  3 secrets (1 live)" in run("build", "hosts").stdout
    (row,) = json.loads(run("build", "hosts", "--json").stdout)
    assert [secret["name"] for secret in row["secrets"] if secret["live"]] == ["token"]
    run("grant", "--from-build")
    assert "token" not in web1.fleet.registry
    web1.fleet.write_registry(registry)
    assert b"nothing to do" in run("sync", "--build").stderr
    said = run("check", "--build", code=3).stdout  # one admin key
    assert b"token" not in said and fetches(store) == []
    run("build", "manifest", "web1", "--out", "web1.json")
    manifest = json.loads((web1.fleet.root / "web1.json").read_text())
    assert manifest["secrets"][2]["source"] == f"{LIVE_ROOT}/{TOKEN}"
    words = ("--manifest", "web1.json", "--registry", "secretsmith.toml", "--lock", "secretsmith.lock")
    said = run("build", "check", *words).stdout
    assert b"token is a live value, which a deploy brings to web1, and no build (E_LIVE)" in said
    assert b"secretsmith deploy web1" in said
    said = run("explain", "token", "web1", code=4).stderr
    assert b"is a live value of web1 (secretsmith.d/web1.toml:" in said


def test_a_build_without_a_deploy_says_what_is_missing(web1: DeployHost, store: Store) -> None:
    manifest = web1.fleet.run("build", "manifest", "web1").stdout
    tree = json.loads(manifest)
    tree["secrets"] = [secret for secret in tree["secrets"] if secret["name"] == "token"]
    (web1.fleet.folder / "web1.json").write_text(json.dumps(tree))
    said = web1.run(f"secretsmith-activate {web1.fleet.folder}/web1.json 2>&1", check=False)
    assert f"{LIVE_ROOT}/{TOKEN} does not exist; it would hold fake:web/token, a live value" in said
    assert "on your workstation: secretsmith deploy web1" in said
    # Once it was deployed, the manifest of the build finds it.
    web1.deploy("--approve", "all")
    web1.run("rm -r /run/secrets; umount /run/secrets.d 2>/dev/null; :", check=False)
    web1.run(f"secretsmith-activate {web1.fleet.folder}/web1.json")
    assert web1.run("cat /run/secrets/token") == "first token"


def test_nixos_writes_its_units_itself(web1: DeployHost, store: Store) -> None:
    web1.run("umount /etc/systemd/system; mount -t tmpfs tmpfs /etc/systemd; ln -s /run /etc/systemd/system")
    said = web1.deploy("--approve", "all")
    assert "+3 new" in said and web1.systemctl.calls() == []
    assert web1.run("ls /run/*.service 2>/dev/null; :") == ""


def test_an_entry_of_pass(web1: DeployHost, pass_store: PassStore) -> None:
    pass_store.insert("web/db", b"hunter2\nuser: app\n")
    web1.declare('[secrets.db]\nsource = "pass:web/db"\nlive = true\n')
    assert "+1 new" in web1.deploy("--approve", "pass:web/db")
    assert web1.run("cat /run/secrets/db") == "hunter2"
    # Unchanged: known without the private key.
    keys = pass_store.gnupg.home / "private-keys-v1.d"
    aside = keys.with_name("aside")
    keys.rename(aside)
    assert "nothing to do" in web1.deploy()
    pass_store.insert("web/db", b"hunter3\n")
    said = web1.deploy(code=3)
    assert "db: pass:web/db was not fetched" in said and "1 unchanged" in said
    aside.rename(keys)
    assert "fetched pass:web/db for db: changed at its source" in web1.deploy()
    assert web1.run("cat /run/secrets/db") == "hunter3"
    assert web1.fleet.holds(b"hunter3") == []


def test_what_changed_between_question_and_answer_is_not_taken(tmp_path: Path) -> None:
    base = str(tmp_path / "base")
    digest = sha256(b"sealed").hexdigest()
    record = json.dumps({TOKEN: {"sha256": digest}}).encode()
    with trees.held_trees(base) as held:
        held.stage(1, None, [(TOKEN, b"sealed"), (trees.LIVE_RECORD, record)])
        held.switch(1)
        assert list(trees.live_of(base, 1)) == [TOKEN]
        held.stage(2, 1, [], [(TOKEN, digest)])
        assert (tmp_path / "base/trees/2" / TOKEN).read_bytes() == b"sealed"
        # Not from elsewhere, and not what somebody put there.
        for path in ("live.json", "live/../live.json", f"/{TOKEN}", "../1/live.json"):
            with pytest.raises(Refused, match="changed in between"):
                held.stage(3, 1, [], [(path, sha256(record).hexdigest())])
            held.remove(3)
        (tmp_path / "base/trees/1" / TOKEN).write_bytes(b"other")
        assert trees.live_of(base, 1) == {}
        with pytest.raises(Refused, match="changed in between"):
            held.stage(3, 1, [], [(TOKEN, digest)])


def test_the_host_s_place_is_that_of_the_manifest() -> None:
    assert f"{trees.BASE}/current" == LIVE_ROOT
    assert trees._LIVE.fullmatch(TOKEN)


def test_nothing_lacking_is_the_same_manifest(web1: DeployHost, store: Store) -> None:
    from secretsmith.manifest import parse_manifest

    manifest = parse_manifest(web1.fleet.run("build", "manifest", "web1").stdout)
    assert without_lacking(manifest, frozenset()) is manifest
