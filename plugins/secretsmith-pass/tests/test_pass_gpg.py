"""What gpg's status lines come to: locked, wrong, absent, damaged; the real gpg, and a pinentry that answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from gnupg import GnuPG
from passstores import PassStore
from people import Scripted

from secretsmith.errors import CannotDecrypt, Code, ExitCode, IntegrityFailure, NotFound, SecretsmithError
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.plugin.api import PluginContext
from secretsmith.project import open_project
from secretsmith.testing import sample_context
from secretsmith_pass import pass_source

VALUE = b"canary of bob"


@pytest.fixture
def bobs(store: PassStore) -> PassStore:
    """A store with an entry for bob, whose key is locked."""
    store.insert("bobs/x", VALUE + b"\n")
    return store


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    return folder


def on_a_terminal(folder: Path, store: PassStore, **variables: str) -> PluginContext:
    """The context of a command with a person in front of it."""
    sample_context(folder, store.environ)
    project = open_project(folder, environ={**store.environ, **variables}, interaction=Scripted())
    return RepositoryContext(project)


def refusal(context: PluginContext, reference: str = "bobs/x") -> SecretsmithError:
    with pytest.raises(SecretsmithError) as refused:
        pass_source().fetch(reference, context)
    assert VALUE.decode() not in " ".join((refused.value.message, *refused.value.hints))
    return refused.value


def bobs_key(store: PassStore) -> str:
    listed = store.gnupg.run("--list-keys", "--with-colons", "bob@example.org").decode().splitlines()
    return next(line.split(":")[4] for line in listed if line.startswith("sub"))


def test_locked_without_a_terminal(bobs: PassStore, repository: Path, gnupg: GnuPG) -> None:
    gnupg.answer_with("open sesame")  # nobody may be asked, so nobody answers
    error = refusal(sample_context(repository, bobs.environ))
    assert isinstance(error, CannotDecrypt)
    assert error.code is Code.PASSPHRASE
    assert error.message == f"pass:bobs/x: the gpg key {bobs_key(bobs)} is locked"
    assert error.hints == ("run this on a terminal, or unlock the key first: pass show bobs/x",)


def test_locked_and_unlocked_on_a_terminal(bobs: PassStore, repository: Path, gnupg: GnuPG) -> None:
    gnupg.answer_with("open sesame")
    context = on_a_terminal(repository, bobs)
    assert pass_source().fetch("bobs/x", context).value.expose() == VALUE
    gnupg.answer_with("")
    # The agent knows it now: one question for all entries.
    assert pass_source().fetch("bobs/x", context).value.expose() == VALUE


def test_a_wrong_passphrase(bobs: PassStore, repository: Path, gnupg: GnuPG) -> None:
    gnupg.answer_with("open barley")
    error = refusal(on_a_terminal(repository, bobs))
    assert error.exit_code is ExitCode.CANNOT_DECRYPT
    assert error.message == f"pass:bobs/x: wrong passphrase for the gpg key {bobs_key(bobs)}"


def test_a_cancelled_question(bobs: PassStore, repository: Path) -> None:
    error = refusal(on_a_terminal(repository, bobs))
    assert error.code is Code.PASSPHRASE
    assert "cancelled" in error.message


def test_a_question_that_was_left_is_not_asked_again(bobs: PassStore, repository: Path, gnupg: GnuPG) -> None:
    """A hundred entries of one locked key are one question; those of other keys are not held up by it."""
    bobs.insert("bobs/y", b"y\n")
    bobs.insert("web/db", b"x\n")
    context, source = on_a_terminal(repository, bobs), pass_source()
    with pytest.raises(CannotDecrypt) as left:
        source.fetch("bobs/x", context)
    gnupg.answer_with("open sesame")  # who asks now would be answered
    with pytest.raises(CannotDecrypt) as again:
        source.fetch("bobs/y", context)
    assert (left.value.code, again.value.code) == (Code.PASSPHRASE, Code.NO_IDENTITY)
    assert f"the gpg key {bobs_key(bobs)} is locked" in again.value.message
    assert source.fetch("web/db", context).value.expose() == b"x"
    assert pass_source().fetch("bobs/y", context).value.expose() == b"y"


def test_of_an_entry_that_hides_its_readers_nothing_is_guessed(
    bobs: PassStore, repository: Path, gnupg: GnuPG
) -> None:
    for name in ("bobs/x", "bobs/y"):
        words = ("--trust-model", "always", "-R", "bob@example.org", "-e")
        bobs.file(name).write_bytes(bobs.gnupg.run(*words, data=VALUE))
    context, source = on_a_terminal(repository, bobs), pass_source()
    with pytest.raises(CannotDecrypt):
        source.fetch("bobs/x", context)
    gnupg.answer_with("open sesame")
    assert source.fetch("bobs/y", context).value.expose() == VALUE


def test_a_signature_by_somebody_unknown(store: PassStore, repository: Path, tmp_path: Path) -> None:
    """gpg ends with an error, and pass shows the value."""
    away = GnuPG.make(tmp_path, store.gnupg.gpg)
    away.key("zoe")
    away.run("--import", data=store.gnupg.run("--export", "alice@example.org"))
    words = ("--trust-model", "always", "-r", "alice@example.org", "-se")
    store.insert("web/db", b"")
    store.file("web/db").write_bytes(away.run(*words, data=VALUE))
    away.close()
    context = sample_context(repository, store.environ)
    assert pass_source().fetch("web/db", context).value.expose() == VALUE


def test_larger_than_a_secret_may_be(store: PassStore, repository: Path) -> None:
    store.insert("web/db", bytes((16 << 20) + 1))
    error = refusal(sample_context(repository, store.environ), "web/db#*")
    assert error.code is Code.TOO_BIG


def test_no_pinentry(bobs: PassStore, repository: Path, gnupg: GnuPG) -> None:
    program = gnupg.home / "pinentry"
    program.rename(gnupg.home / "moved")
    try:
        gnupg.close()
        error = refusal(on_a_terminal(repository, bobs))
    finally:
        (gnupg.home / "moved").rename(program)
        gnupg.close()
    assert error.code is Code.PASSPHRASE
    assert "GPG_TTY" in error.hints[0]


def test_no_secret_key(bobs: PassStore, repository: Path, tmp_path: Path) -> None:
    empty = tmp_path / "g"
    empty.mkdir(mode=0o700)
    error = refusal(sample_context(repository, {**bobs.environ, "GNUPGHOME": str(empty)}))
    GnuPG(empty, bobs.gnupg.gpg).close()
    assert error.code is Code.NO_IDENTITY
    assert bobs_key(bobs) in error.message


def test_of_two_readers_the_one_whose_key_is_here_is_told(
    store: PassStore, repository: Path, tmp_path: Path
) -> None:
    away = GnuPG.make(tmp_path, store.gnupg.gpg)
    away.key("carol")
    both = away.run("--export", "carol@example.org")
    away.close()
    store.gnupg.run("--import", data=both)
    words = ("--trust-model", "always", "-r", "carol@example.org", "-r", "bob@example.org", "-e")
    store.file("bobs/x").write_bytes(store.gnupg.run(*words, data=VALUE))
    error = refusal(sample_context(repository, store.environ))
    store.gnupg.run("--yes", "--delete-keys", "carol@example.org")
    assert error.message == f"pass:bobs/x: the gpg key {bobs_key(store)} is locked"


@pytest.mark.parametrize("data", [b"", b"no message", b"\xff" * 100])
def test_what_is_no_message(data: bytes, store: PassStore, repository: Path) -> None:
    store.file("web").write_bytes(data)
    error = refusal(sample_context(repository, store.environ), "web")
    assert isinstance(error, IntegrityFailure)


def test_a_damaged_message(store: PassStore, repository: Path) -> None:
    store.insert("web", b"hunter2\n" * 50)
    data = bytearray(store.file("web").read_bytes())
    data[-30] ^= 1
    store.file("web").write_bytes(data)
    assert isinstance(refusal(sample_context(repository, store.environ), "web"), IntegrityFailure)


def test_no_gpg(store: PassStore, repository: Path) -> None:
    store.insert("web", b"hunter2\n")
    error = refusal(sample_context(repository, {**store.environ, "PATH": str(repository)}), "web")
    assert isinstance(error, NotFound)
    assert error.message == "there is no gpg on this computer"


def test_the_persons_own_options(store: PassStore, repository: Path) -> None:
    store.insert("web", b"hunter2\n")
    elsewhere = {"GNUPGHOME": "/nowhere", "PASSWORD_STORE_GPG_OPTS": f"--homedir {store.gnupg.home}"}
    context = sample_context(repository, {**store.environ, **elsewhere})
    assert pass_source().fetch("web", context).value.expose() == b"hunter2"


def test_the_text_that_pass_exports_is_no_terminal(bobs: PassStore, repository: Path, gnupg: GnuPG) -> None:
    gnupg.answer_with("open sesame")
    context = on_a_terminal(repository, bobs, GPG_TTY="not a tty")
    assert pass_source().fetch("bobs/x", context).value.expose() == VALUE
