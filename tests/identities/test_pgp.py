from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from gnupg import GnuPG

from secretsmith.documents.format import Format
from secretsmith.documents.metadata import KeyGroup, Metadata
from secretsmith.documents.seal import open_leaf, open_value
from secretsmith.documents.sopskey import recover
from secretsmith.errors import CannotDecrypt, Code, ExitCode, IntegrityFailure, RefusedInput
from secretsmith.identities import pgp as pgp_module
from secretsmith.identities.pgp import pgp_opener
from secretsmith.identities.ring import IdentityRing
from secretsmith.interaction import NoInteraction
from secretsmith.sensitive import Sensitive

VALUE = b"canary-of-pgp-32-bytes-long-0123"
CLEAR = b"mail: hunter2\n"


@pytest.fixture
def gnupg(tmp_path: Path, peer: Callable[[str], str]) -> Iterator[GnuPG]:
    made = GnuPG.make(tmp_path, peer("gpg"))
    yield made
    made.close()


def environ(gnupg: GnuPG, **variables: str) -> Mapping[str, str]:
    return {
        "HOME": str(gnupg.home.parent),
        "GNUPGHOME": str(gnupg.home),
        "PATH": os.environ["PATH"],
        **variables,
    }


def opener(gnupg: GnuPG, **variables: str) -> Callable[[bytes], Sensitive]:
    made = pgp_opener(environ(gnupg, **variables), ask=False)
    assert made is not None
    return made


def test_a_message_opens_with_the_secret_key(gnupg: GnuPG) -> None:
    message = gnupg.encrypt(gnupg.key("alice"), VALUE)
    assert opener(gnupg)(message).expose() == VALUE


def test_absent_key_is_named(gnupg: GnuPG, tmp_path: Path) -> None:
    message = gnupg.encrypt(gnupg.key("alice"), VALUE)
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o700)
    with pytest.raises(CannotDecrypt) as refused:
        opener(gnupg, GNUPGHOME=str(empty))(message)
    assert refused.value.code is Code.NO_IDENTITY
    listed = gnupg.run("--list-keys", "--with-colons").decode().splitlines()
    subkey = next(line.split(":")[4] for line in listed if line.startswith("sub"))
    assert refused.value.message == f"PGP: the secret key {subkey} is not here"


def test_locked_key_is_not_asked_for_without_a_terminal(gnupg: GnuPG) -> None:
    fingerprint = gnupg.key("bob", passphrase="s3same")
    message = gnupg.encrypt(fingerprint, VALUE)
    gnupg.forget()
    with pytest.raises(CannotDecrypt) as refused:
        opener(gnupg)(message)
    assert refused.value.message == f"PGP: the secret key {fingerprint} is locked"


def test_key_that_the_agent_knows_is_not_locked(gnupg: GnuPG) -> None:
    message = gnupg.encrypt(gnupg.key("bob", passphrase="s3same"), VALUE)
    gnupg.run("--pinentry-mode", "loopback", "--passphrase", "s3same", "--decrypt", data=message)
    assert opener(gnupg)(message).expose() == VALUE


def test_damage_is_told_from_a_missing_key(gnupg: GnuPG) -> None:
    message = gnupg.encrypt(gnupg.key("alice"), VALUE)
    lines = message.split(b"\n")
    cut = b"\n".join(lines[:5])
    for damaged in (cut, b"-----BEGIN PGP MESSAGE-----\n\nnonsense\n"):
        with pytest.raises(IntegrityFailure) as refused:
            opener(gnupg)(damaged)
        assert refused.value.code is Code.CIPHERTEXT


def test_only_messages_go_to_gpg(gnupg: GnuPG, tmp_path: Path) -> None:
    program = fake_gpg(tmp_path, f"touch {tmp_path}/called")
    for data, code in ((b"age-encryption.org/v1\n", Code.FORMAT), (b"", Code.FORMAT)):
        with pytest.raises(RefusedInput) as refused:
            opener(gnupg, SOPS_GPG_EXEC=str(program))(data)
        assert refused.value.code is code
    with pytest.raises(RefusedInput) as refused:
        opener(gnupg, SOPS_GPG_EXEC=str(program))(b"-----BEGIN PGP MESSAGE-----\n" + b"A" * (1 << 17))
    assert refused.value.code is Code.TOO_BIG
    assert not (tmp_path / "called").exists()


def fake_gpg(folder: Path, script: str) -> Path:
    program = folder / "fake-gpg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


MESSAGE = b"-----BEGIN PGP MESSAGE-----\n\n" + b"A" * 60_000


def test_more_than_a_data_key_is_refused(gnupg: GnuPG, tmp_path: Path) -> None:
    program = fake_gpg(tmp_path, "cat >/dev/null; exec cat /dev/zero")
    with pytest.raises(IntegrityFailure):
        opener(gnupg, SOPS_GPG_EXEC=str(program))(MESSAGE)


def test_gpg_that_hangs_is_ended(gnupg: GnuPG, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgp_module, "TIMEOUT_SECONDS", 0.2)
    program = fake_gpg(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    with pytest.raises(CannotDecrypt, match="did not answer"):
        opener(gnupg, SOPS_GPG_EXEC=str(program))(MESSAGE)
    if (tmp_path / "pid").exists():
        assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_gpg_that_hangs_is_not_waited_for_twice(
    gnupg: GnuPG, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgp_module, "TIMEOUT_SECONDS", 0.2)
    made = opener(gnupg, SOPS_GPG_EXEC=str(fake_gpg(tmp_path, f"echo x >> {tmp_path}/calls; exec sleep 60")))
    for _ in range(3):
        with pytest.raises(CannotDecrypt, match="did not answer"):
            made(MESSAGE)
    assert (tmp_path / "calls").read_text() == "x\n"


@pytest.mark.parametrize("groups", [1, 4])
def test_a_document_with_thousands_of_messages_runs_gpg_a_hundred_times(groups: int) -> None:
    calls: list[bytes] = []

    def locked(message: bytes) -> Sensitive:
        calls.append(message)
        raise CannotDecrypt(Code.NO_IDENTITY, "PGP: the secret key is not here", hints=("unlock it",))

    entries = [{"fp": f"F{number}", "enc": f"message {number}"} for number in range(5000 // groups)]
    metadata = Metadata(tuple(KeyGroup((), {"pgp": entries}) for _ in range(groups)), "", "")
    with pytest.raises(CannotDecrypt) as refused:
        recover(metadata, locked, locked)
    assert len(calls) == 100
    assert refused.value.hints.count("PGP: the secret key is not here") == 1
    assert len(refused.value.hints) < 10


@pytest.mark.parametrize(
    "script",
    ["echo '[GNUPG:] DECRYPTION_OKAY' >&2; echo key; exit 2", "cat > /dev/null; echo key", "exit 0"],
)
def test_output_counts_only_with_status_and_exit_code(gnupg: GnuPG, tmp_path: Path, script: str) -> None:
    with pytest.raises((CannotDecrypt, IntegrityFailure)):
        opener(gnupg, SOPS_GPG_EXEC=str(fake_gpg(tmp_path, script)))(MESSAGE)


def test_nothing_is_asked_without_a_terminal(gnupg: GnuPG, tmp_path: Path) -> None:
    program = fake_gpg(tmp_path, f'cat >/dev/null; echo "$@" > {tmp_path}/words; exit 2')
    for ask in (False, True):
        made = pgp_opener(environ(gnupg, SOPS_GPG_EXEC=str(program)), ask=ask)
        assert made is not None
        with pytest.raises(IntegrityFailure):
            made(MESSAGE)
        assert ("--pinentry-mode error" in (tmp_path / "words").read_text()) is not ask


def test_no_gpg_is_none(tmp_path: Path) -> None:
    assert pgp_opener({"PATH": str(tmp_path)}) is None
    assert pgp_opener({"PATH": os.environ["PATH"], "SOPS_GPG_EXEC": str(tmp_path / "none")}) is None


# Documents made by the real sops


@pytest.fixture
def sops(gnupg: GnuPG, peer: Callable[[str], str]) -> Callable[..., bytes]:
    program = peer("sops")

    def encrypt(*words: str, config: str = os.devnull) -> bytes:
        path = gnupg.home.parent / "clear.yaml"
        path.write_bytes(CLEAR)
        argv = [program, "--config", config, "encrypt", *words, str(path)]
        return subprocess.run(argv, capture_output=True, check=True, env=dict(environ(gnupg))).stdout

    return encrypt


def ring(gnupg: GnuPG, *identities: Path) -> IdentityRing:
    return IdentityRing.of_files(identities, NoInteraction())


@pytest.fixture
def age_key(tmp_path: Path, peer: Callable[[str], str]) -> tuple[Path, str]:
    path = tmp_path / "keys.txt"
    subprocess.run([peer("age-keygen"), "-o", path], check=True, capture_output=True)
    path.chmod(0o600)
    return path, subprocess.run(
        ["age-keygen", "-y", path], check=True, capture_output=True
    ).stdout.decode().strip()


def test_document_under_pgp_alone_opens(gnupg: GnuPG, sops: Callable[..., bytes]) -> None:
    data = sops("--pgp", gnupg.key("alice"))
    assert open_value(Format.YAML, data, [], open_pgp=opener(gnupg)).expose() == CLEAR
    assert open_leaf(Format.YAML, data, ("mail",), [], open_pgp=opener(gnupg)).expose() == b"hunter2"


def test_gpg_is_not_called_when_an_age_key_opens(
    gnupg: GnuPG, sops: Callable[..., bytes], age_key: tuple[Path, str], tmp_path: Path
) -> None:
    program = fake_gpg(tmp_path, f"touch {tmp_path}/called; exit 2")
    watched = opener(gnupg, SOPS_GPG_EXEC=str(program))
    data = sops("--pgp", gnupg.key("alice"), "--age", age_key[1])
    assert open_value(Format.YAML, data, ring(gnupg, age_key[0]).for_data, open_pgp=watched).expose() == CLEAR
    assert not (tmp_path / "called").exists()
    assert open_value(Format.YAML, data, [], open_pgp=opener(gnupg)).expose() == CLEAR


def test_age_keys_of_all_groups_come_before_gpg(
    gnupg: GnuPG, sops: Callable[..., bytes], age_key: tuple[Path, str], tmp_path: Path
) -> None:
    config = tmp_path / "groups.yaml"
    fingerprint = gnupg.key("alice")
    groups = f"- pgp: [{fingerprint}]\n    - age: [{age_key[1]}]\n    - age: [{age_key[1]}]\n"
    config.write_text(f"creation_rules:\n- shamir_threshold: 2\n  key_groups:\n    {groups}")
    data = sops(config=str(config))
    program = fake_gpg(tmp_path, f"touch {tmp_path}/called; exit 2")
    watched = opener(gnupg, SOPS_GPG_EXEC=str(program))
    assert open_value(Format.YAML, data, ring(gnupg, age_key[0]).for_data, open_pgp=watched).expose() == CLEAR
    assert not (tmp_path / "called").exists()


def test_pgp_gives_the_part_that_age_lacks(
    gnupg: GnuPG, sops: Callable[..., bytes], age_key: tuple[Path, str], tmp_path: Path
) -> None:
    config = tmp_path / "groups.yaml"
    groups = f"- pgp: [{gnupg.key('alice')}]\n    - age: [{age_key[1]}]\n"
    config.write_text(f"creation_rules:\n- shamir_threshold: 2\n  key_groups:\n    {groups}")
    data = sops(config=str(config))
    opened = open_value(Format.YAML, data, ring(gnupg, age_key[0]).for_data, open_pgp=opener(gnupg))
    assert opened.expose() == CLEAR


def test_without_gpg_the_error_says_pgp_and_what_to_install(gnupg: GnuPG, sops: Callable[..., bytes]) -> None:
    fingerprint = gnupg.key("alice")
    data = sops("--pgp", fingerprint)
    with pytest.raises(CannotDecrypt) as refused:
        open_value(Format.YAML, data, [], open_pgp=None)
    assert refused.value.exit_code is ExitCode.CANNOT_DECRYPT
    assert "encrypted under PGP only" in refused.value.message
    hints = "\n".join(refused.value.hints)
    assert fingerprint in hints
    assert "install the package gnupg" in hints


def test_with_gpg_the_error_says_what_became_of_the_key(
    gnupg: GnuPG, sops: Callable[..., bytes], tmp_path: Path
) -> None:
    fingerprint = gnupg.key("bob", passphrase="s3same")
    data = sops("--pgp", fingerprint)
    gnupg.forget()
    with pytest.raises(CannotDecrypt) as refused:
        open_value(Format.YAML, data, [], open_pgp=opener(gnupg))
    assert refused.value.code is Code.NO_IDENTITY
    assert f"PGP: the secret key {fingerprint} is locked" in refused.value.hints


def test_nothing_of_the_data_key_is_written(gnupg: GnuPG, tmp_path: Path) -> None:
    message = gnupg.encrypt(gnupg.key("alice"), VALUE)
    assert opener(gnupg, TMPDIR=str(tmp_path))(message).expose() == VALUE
    for path in tmp_path.rglob("*"):
        if stat.S_ISREG(path.lstat().st_mode):
            assert VALUE not in path.read_bytes(), path
