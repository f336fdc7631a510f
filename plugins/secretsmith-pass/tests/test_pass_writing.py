"""Writing entries: who reads them is for the store to say, and a refusal leaves it as it was."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
from gnupg import GnuPG
from passstores import PassStore
from people import Scripted

from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, NotFound, RefusedInput, SecretsmithError
from secretsmith.interaction import NoInteraction
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.plugin.api import PluginContext, StoringSource
from secretsmith.project import open_project
from secretsmith.sensitive import Sensitive
from secretsmith.testing import sample_context
from secretsmith_pass import gopass_source, pass_source, passage_source

ROOT = Path(__file__).resolve().parents[3]
IDENTITY = ROOT / "testkeys" / "host_ed25519"
RECIPIENT = (ROOT / "testkeys" / "host_ed25519.pub").read_text().strip()


@pytest.fixture
def context(store: PassStore, tmp_path: Path) -> PluginContext:
    return a_context(store, tmp_path)


def a_context(store: PassStore, tmp_path: Path, **variables: str) -> PluginContext:
    folder = tmp_path / "repository"
    folder.mkdir()
    return sample_context(folder, {**store.environ, **variables})


def put(reference: str, value: bytes, context: PluginContext) -> None:
    source = pass_source()
    assert isinstance(source, StoringSource)
    source.store(reference, Sensitive(value), context)


def readers(store: PassStore, name: str) -> set[str]:
    """The people whose keys the entry is encrypted to."""
    words = (
        "--pinentry-mode",
        "cancel",
        "--status-fd",
        "1",
        "--list-only",
        "--decrypt",
        str(store.file(name)),
    )
    told = store.gnupg.run(*words).decode().splitlines()
    keys = [line.split()[2] for line in told if " ENC_TO " in line]
    listed = store.gnupg.run("--list-keys", "--with-colons", *keys).decode().splitlines()
    return {line.split(":")[9].partition(" ")[0] for line in listed if line.startswith("uid")}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


def test_pass_reads_what_was_written(store: PassStore, context: PluginContext) -> None:
    put("web/db", b"hunter2", context)
    put("web/tls#*", b"\0line\nline", context)
    assert store.run("show", "web/db") == b"hunter2\n"
    assert store.run("show", "web/tls") == b"\0line\nline"
    assert store.file("web/db").stat().st_mode & 0o777 == 0o600
    assert store.file("web/db").parent.stat().st_mode & 0o777 == 0o700


def test_the_first_line_alone_is_replaced(store: PassStore, context: PluginContext) -> None:
    store.insert("web/db", b"old\nuser: alice\n\xff")
    put("web/db", b"new", context)
    assert store.run("show", "web/db") == b"new\nuser: alice\n\xff"
    put("web/db#*", b"all", context)
    assert store.run("show", "web/db") == b"all"


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("web/db", b"two\nlines"),
        ("web/db", b"line\n"),
        ("web/db", b""),
        ("web/db#user", b"x"),
        ("web/db#2", b"x"),
    ],
)
def test_what_would_not_be_read_back(
    reference: str, value: bytes, store: PassStore, context: PluginContext
) -> None:
    before = snapshot(store.folder)
    with pytest.raises(RefusedInput):
        put(reference, value, context)
    assert snapshot(store.folder) == before


def test_the_nearest_gpg_id_says_who_reads(store: PassStore, context: PluginContext) -> None:
    (store.folder / "both").mkdir()
    (store.folder / "both" / ".gpg-id").write_text(
        "bob@example.org  # the other\n\n# none\nalice@example.org\n"
    )
    for name in ("top", "bobs/x", "bobs/deep/er/x", "both/x"):
        put(name, b"hunter2", context)
    assert readers(store, "top") == {"alice"}
    assert readers(store, "bobs/x") == readers(store, "bobs/deep/er/x") == {"bob"}
    assert readers(store, "both/x") == {"alice", "bob"}


def test_the_persons_own_key_wins(store: PassStore, tmp_path: Path) -> None:
    put("top", b"x", a_context(store, tmp_path, PASSWORD_STORE_KEY="alice@example.org bob@example.org"))
    assert readers(store, "top") == {"alice", "bob"}


def test_no_rule(store: PassStore, context: PluginContext) -> None:
    (store.folder / ".gpg-id").unlink()
    with pytest.raises(NotFound) as refused:
        put("top", b"x", context)
    assert refused.value.code is Code.RECIPIENT_MISSING
    (store.folder / ".gpg-id").write_text("# nobody\n")
    with pytest.raises(RefusedInput):
        put("top", b"x", context)


def test_no_store(store: PassStore, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        put("top", b"x", a_context(store, tmp_path, PASSWORD_STORE_DIR=str(tmp_path / "nowhere")))
    assert not (tmp_path / "nowhere").exists()


@pytest.fixture
def carol(gnupg: GnuPG, tmp_path: Path) -> Iterator[str]:
    """A public key that is here and that nobody certified."""
    away = GnuPG.make(tmp_path, gnupg.gpg)
    away.key("carol")
    gnupg.run("--import", data=away.run("--export", "carol@example.org"))
    away.close()
    yield "carol@example.org"
    gnupg.run("--yes", "--delete-keys", "carol@example.org")


def test_a_reader_who_is_not_certified(store: PassStore, context: PluginContext, carol: str) -> None:
    (store.folder / ".gpg-id").write_text(f"alice@example.org\n{carol}\n")
    with pytest.raises(RefusedInput) as refused:
        put("top", b"x", context)
    assert refused.value.message == f"pass:top: the gpg key {carol} is not certified by you"
    assert refused.value.hints == (f"compare its fingerprint, then: gpg --lsign-key {carol}",)
    assert not store.file("top").exists()


def test_a_reader_who_is_not_certified_by_the_persons_own_wish(
    store: PassStore, tmp_path: Path, carol: str
) -> None:
    (store.folder / ".gpg-id").write_text(f"{carol}\n")
    put("top", b"x", a_context(store, tmp_path, PASSWORD_STORE_GPG_OPTS="--trust-model always"))
    assert readers(store, "top") == {"carol"}


def test_an_unknown_reader_is_not_looked_for_on_the_network(store: PassStore, context: PluginContext) -> None:
    (store.folder / ".gpg-id").write_text("nobody@example.org\n")
    with pytest.raises(RefusedInput) as refused:
        put("top", b"x", context)
    assert refused.value.message == "pass:top: the gpg key nobody@example.org is not in your keyring"


def test_signed_rules(store: PassStore, tmp_path: Path) -> None:
    fingerprint = store.gnupg.run("--list-keys", "--with-colons", "alice@example.org").decode()
    key = next(line.split(":")[9] for line in fingerprint.splitlines() if line.startswith("fpr"))
    context = a_context(store, tmp_path, PASSWORD_STORE_SIGNING_KEY=key)
    with pytest.raises(IntegrityFailure):
        put("top", b"x", context)
    rules = store.folder / ".gpg-id"
    store.gnupg.run("--detach-sign", str(rules))
    put("top", b"x", context)
    rules.write_text("bob@example.org\n")
    with pytest.raises(IntegrityFailure):
        put("top", b"y", context)
    assert store.run("show", "top") == b"x\n"


def test_a_link_that_leads_out_is_not_written_through(store: PassStore, context: PluginContext) -> None:
    (store.home / "outside").mkdir()
    (store.folder / "out").symlink_to(store.home / "outside")
    with pytest.raises(RefusedInput):
        put("out/x", b"x", context)
    assert not list((store.home / "outside").iterdir())


def test_an_entry_that_cannot_be_opened_keeps_its_lines(store: PassStore, context: PluginContext) -> None:
    store.insert("bobs/x", b"old\nuser: bob\n")
    before = snapshot(store.folder)
    with pytest.raises(CannotDecrypt):
        put("bobs/x", b"new", context)
    assert snapshot(store.folder) == before


@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_rules_that_never_end(kind: str, store: PassStore, context: PluginContext) -> None:
    """A store may be shared with others, who put there what they like."""
    rules = store.folder / "evil" / ".gpg-id"
    rules.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(rules)
    else:
        rules.write_bytes(b"alice@example.org\n" * 100_000)
    with pytest.raises(RefusedInput) as refused:
        put("evil/x", b"x", context)
    assert refused.value.code is (Code.NOT_REGULAR if kind == "pipe" else Code.TOO_BIG)


@pytest.fixture
def tree(store: PassStore) -> PassStore:
    store.run("git", "init")
    return store


def test_git_commits_as_pass_does(tree: PassStore, context: PluginContext) -> None:
    (tree.folder / "mine").write_text("")
    tree.git("add", "mine")
    put("web/db", b"x", context)
    put("web/db", b"y", context)
    subjects = tree.git("log", "--format=%s", "-2").splitlines()
    assert subjects == [
        "Edit password for web/db using secretsmith.",
        "Add given password for web/db to store.",
    ]
    assert tree.git("show", "--name-only", "--format=", "HEAD~1").split() == ["web/db.gpg"]
    # What the person has staged stays staged.
    assert tree.git("status", "--short") == "A  mine\n"


def test_git_commits_into_the_store_whatever_the_environment_names(tree: PassStore, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", str(other)], check=True, env=tree.environ)
    index = str(other / ".git" / "index")
    context = a_context(
        tree, tmp_path, GIT_DIR=str(other / ".git"), GIT_WORK_TREE=str(other), GIT_INDEX_FILE=index
    )
    put("web/db", b"x", context)
    assert tree.git("log", "--format=%s", "-1") == "Add given password for web/db to store.\n"


def test_a_name_with_a_star_is_no_pattern(tree: PassStore, tmp_path: Path) -> None:
    """What else lies in the store is neither staged nor taken out of the index again."""
    put("web/a", b"x", context := a_context(tree, tmp_path, GIT_ICASE_PATHSPECS="1"))
    tree.file("web/a").write_bytes(b"changed by hand")
    tree.file("web/b").write_bytes(b"new by hand")
    put("web/*", b"x", context)
    put("web/*", b"y", context)
    assert tree.git("status", "--short", "-uall") == " M web/a.gpg\n?? web/b.gpg\n"
    tree.git("add", "web/a.gpg")
    hook = tree.folder / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(SecretsmithError):
        put("web/*", b"z", context)
    assert tree.git("status", "--short", "-uall") == "M  web/a.gpg\n?? web/b.gpg\n"


def test_a_store_without_git_is_no_part_of_the_tree_above(store: PassStore, context: PluginContext) -> None:
    subprocess.run(["git", "init", "-q", str(store.home)], check=True, env=store.environ)
    put("web/db", b"x", context)
    done = subprocess.run(
        ["git", "-C", str(store.home), "log"], env=store.environ, capture_output=True, check=False
    )
    assert done.returncode != 0


def test_what_git_refuses_is_taken_back(tree: PassStore, context: PluginContext) -> None:
    put("web/db", b"x", context)
    hook = tree.folder / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no commits today >&2\nexit 1\n")
    hook.chmod(0o755)
    before = snapshot(tree.folder)
    for name in ("web/db", "web/new"):
        with pytest.raises(SecretsmithError) as refused:
            put(name, b"y", context)
        assert refused.value.message.endswith("git commit failed, and the entry is as it was")
        assert refused.value.hints[-1] == "git: no commits today"
    assert snapshot(tree.folder) == before
    assert tree.git("status", "--short") == ""


def test_signed_commits(tree: PassStore, context: PluginContext) -> None:
    tree.git("config", "pass.signcommits", "true")
    tree.git("config", "user.signingkey", "alice@example.org")
    put("web/db", b"x", context)
    assert tree.git("log", "-1", "--format=%G?").strip() in ("G", "U")


@pytest.mark.parametrize("scheme", ["passage", "gopass"])
def test_stores_of_age_files(scheme: str, tmp_path: Path) -> None:
    source = passage_source() if scheme == "passage" else gopass_source()
    assert isinstance(source, StoringSource)
    folder = tmp_path / "store"
    (folder / "team").mkdir(parents=True)
    repository = tmp_path / "repository"
    repository.mkdir()
    names = {"PASSAGE_DIR": str(folder), "PASSWORD_STORE_DIR": str(folder)}
    environ = {"HOME": str(tmp_path), "SECRETSMITH_IDENTITY": str(IDENTITY), **names}
    context = sample_context(repository, environ)
    with pytest.raises(NotFound):
        source.store("x", Sensitive(b"hunter2"), context)
    (folder / ".age-recipients").write_text(f"# all\n{RECIPIENT} root@host\n")
    (folder / "team" / ".age-recipients").write_text("github:somebody\n")
    source.store("web/x", Sensitive(b"hunter2"), context)
    source.store("web/x#*", Sensitive(b"all\nof it"), context)
    assert source.fetch("web/x#*", context).value.expose() == b"all\nof it"
    assert source.references("", context) == ["web/x"]
    with pytest.raises(RefusedInput) as refused:
        source.store("team/x", Sensitive(b"hunter2"), context)
    assert "team/.age-recipients" in refused.value.message


def test_locked_keys_of_passage(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / ".passage" / "store").mkdir(parents=True)
    keys = tmp_path / ".passage" / "identities"
    keys.write_bytes(pyrage.passphrase.encrypt(str(identity).encode(), "open sesame"))
    (tmp_path / "repository").mkdir()
    environ = {"HOME": str(tmp_path), "PATH": os.defpath}
    sample_context(tmp_path / "repository", environ)

    def context(*answers: str) -> RepositoryContext:
        person = Scripted(answers) if answers else NoInteraction()
        return RepositoryContext(open_project(tmp_path / "repository", environ=environ, interaction=person))

    sealed = context().seal_age(Sensitive(b"hunter2"), [str(identity.to_public())])
    (tmp_path / ".passage" / "store" / "x.age").write_bytes(sealed)
    with pytest.raises(CannotDecrypt) as refused:
        passage_source().fetch("x", context())
    assert refused.value.code is Code.PASSPHRASE
    assert refused.value.message.startswith(f"passage:x: {keys} is locked")
    with pytest.raises(CannotDecrypt) as refused:
        passage_source().fetch("x", context("open barley"))
    assert refused.value.message == f"passage:x: wrong passphrase for {keys}"
    assert passage_source().fetch("x", context("open sesame")).value.expose() == b"hunter2"
    keys.unlink()
    with pytest.raises(CannotDecrypt) as refused:
        passage_source().fetch("x", context())
    assert refused.value.message == f"passage:x: neither the keys in {keys} nor yours open it"


def test_passage_without_rules_writes_for_its_own_keys(tmp_path: Path) -> None:
    source = passage_source()
    assert isinstance(source, StoringSource)
    (tmp_path / ".passage" / "store").mkdir(parents=True)
    (tmp_path / ".passage" / "identities").write_bytes(IDENTITY.read_bytes())
    (tmp_path / ".passage" / "identities").chmod(0o600)
    (tmp_path / "repository").mkdir()
    environ = {"HOME": str(tmp_path), "SECRETSMITH_IDENTITY": os.devnull}
    context = sample_context(tmp_path / "repository", environ)
    source.store("x", Sensitive(b"hunter2"), context)
    assert source.fetch("x", context).value.expose() == b"hunter2"
    (tmp_path / "r").write_text(RECIPIENT)
    (tmp_path / "r2").mkdir()
    other = sample_context(tmp_path / "r2", {**environ, "PASSAGE_RECIPIENTS_FILE": str(tmp_path / "r")})
    source.store("y", Sensitive(b"hunter3"), other)
    assert source.fetch("y", other).value.expose() == b"hunter3"
