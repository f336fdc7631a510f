"""From encrypted sources to values: every format, each source once, and each failure with its own secrets."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from keys import ed25519_key, rsa_key
from sopsfleet import age_secret
from vaults import KINDS, SUFFIX, Vault, derived, text_of

from secretsmith.activation.opening import picking
from secretsmith.activation.opening.sources import Sources
from secretsmith.crypto import agefile
from secretsmith.documents import sopsopen
from secretsmith.documents.format import Format
from secretsmith.errors import (
    CannotDecrypt,
    Code,
    IntegrityFailure,
    NotFound,
    RefusedInput,
    SecretsmithError,
)
from secretsmith.sensitive import Sensitive

pytestmark = pytest.mark.usefixtures("open_descriptors")
Within = Callable[[float], AbstractContextManager[None]]

# As real sops documents have them: every scalar that sops knows, and what it makes of them with --extract.
YAML = b"""\
s: text
lines: "two\\nlines\\n"
quoted: "25"
int: 25
negative: -3
float: 1.5
whole: 1.0
large: 1e10
huge: 1e300
yes: true
no: false
nothing: null
time: 2026-01-02T03:04:05Z
empty: ""
infinite: .inf
"7": seven
"a/b": slash
"a~b": tilde
map:
    a: 1
    b: [x, 2]
list:
    - one
    - 2
    - q: r
none: {}
"""
JSON = b"""{
\t"s": "text", "int": 25, "float": 1.5, "whole": 1.0, "large": 1e10, "yes": true, "no": false, "nothing": null,
\t"angle": "<&>", "empty": "", "map": {"a": 1, "b": ["x", 2]}, "list": ["one", 2, {"q": "r"}], "none": {}
}
"""


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


class Sops:
    """The real sops, with the key of the host in its derived form."""

    def __init__(self, program: str, vault: Vault) -> None:
        self.program = program
        self.vault = vault

    def run(self, *arguments: str) -> bytes:
        done = subprocess.run(
            [self.program, "--disable-version-check", *arguments],
            env={"PATH": "", "HOME": str(self.vault.folder), "SOPS_AGE_KEY": age_secret(self.vault.key)},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def document(self, name: str, clear: bytes) -> Path:
        plain = self.vault.write(f"plain.{name}", clear)
        return self.vault.write(name, self.run("encrypt", "--age", derived(self.vault.key), str(plain)))

    def extract(self, path: Path, *keys: str | int, output: str | None = None) -> bytes:
        place = "".join(f"[{json.dumps(key)}]" for key in keys)
        options = ["--output-type", output] if output else []
        return self.run("decrypt", *options, "--extract", place, str(path))


@pytest.fixture
def sops(vault: Vault, peer: Callable[[str], str]) -> Sops:
    return Sops(peer("sops"), vault)


SCALARS = {
    "yaml": "s lines quoted int negative float whole large huge yes no nothing time empty infinite 7",
    "json": "s int float whole large yes no nothing angle empty",
}


@pytest.mark.parametrize("name", SCALARS)
def test_scalars_are_what_sops_prints(vault: Vault, sops: Sops, name: str) -> None:
    path = sops.document(f"d.{name}", YAML if name == "yaml" else JSON)
    strings = {"s", "lines", "quoted", "empty", "7", "angle"}
    for key in SCALARS[name].split():
        # sops puts a line end after a number in YAML, and none in JSON; a file of ours never has one.
        printed = sops.extract(path, key)
        wanted = printed if key in strings else printed.removesuffix(b"\n")
        assert vault.value(path, key=key) == wanted, key


def test_places_in_lists_and_keys_with_a_slash(vault: Vault, sops: Sops) -> None:
    path = sops.document("d.yaml", YAML)
    assert vault.value(path, key="list/0") == sops.extract(path, "list", 0) == b"one"
    assert vault.value(path, key="list/1") == sops.extract(path, "list", 1).strip() == b"2"
    assert vault.value(path, key="list/2/q") == sops.extract(path, "list", 2, "q") == b"r"
    assert vault.value(path, key="a~1b") == sops.extract(path, "a/b") == b"slash"
    assert vault.value(path, key="a~0b") == sops.extract(path, "a~b") == b"tilde"
    assert vault.value(path, key="~k7") == vault.value(path, key="7") == b"seven"


@pytest.mark.parametrize("output", ["json", "yaml"])
@pytest.mark.parametrize("name", ["yaml", "json"])
@pytest.mark.parametrize("key", ["map", "map/b", "list", "none", "s", "int", "nothing"])
def test_subtrees_are_what_sops_prints(vault: Vault, sops: Sops, name: str, output: str, key: str) -> None:
    path = sops.document(f"d.{name}", YAML if name == "yaml" else JSON)
    ours = vault.value(path, key=key, output=output)
    assert ours.endswith(b"\n") and not ours.endswith(b"\n\n")
    if key == "s":  # sops prints strings as they are; asked for a format, ours are in it
        assert ours == {"json": b'"text"\n', "yaml": b"text\n"}[output]
    else:
        assert ours.rstrip() == sops.extract(path, *key.split("/"), output=output).rstrip()


@pytest.mark.parametrize("output", ["value", "json", "yaml"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not Format.BINARY])
def test_whole_documents(vault: Vault, sops: Sops, kind: Format, output: str) -> None:
    path = sops.document(f"d.{SUFFIX[kind]}", KINDS[kind])
    ours = vault.value(path, output=output)
    if output == "value" or output == kind:
        assert ours == KINDS[kind]
    if output == "json":
        assert json.loads(ours) == json.loads(sops.run("decrypt", "--output-type", "json", str(path)))
    if output == "yaml" and kind is not Format.YAML:
        printed = sops.run("decrypt", "--output-type", "yaml", str(path))
        # sops keeps the comments of dotenv and ini, and writes JSON's numbers as it read them.
        assert b"hunter2" in ours
        assert [line for line in ours.splitlines() if b"#" not in line] == [
            line for line in printed.splitlines() if b"#" not in line
        ]


def test_binary_is_its_bytes(vault: Vault) -> None:
    value = bytes(range(256)) * 3
    assert vault.value(vault.document("d.bin", value)) == value


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (Format.DOTENV, "PORT", b"25"),
        (Format.INI, "mail/port", b"25"),
        (Format.YAML, "mail/port", b"25"),
        (Format.JSON, "mail/tls", b"true"),
    ],
)
def test_one_value_of_each_format(vault: Vault, kind: Format, key: str, value: bytes) -> None:
    assert vault.value(vault.document(f"d.{SUFFIX[kind]}", KINDS[kind]), key=key) == value


def test_a_section_and_a_value_as_json(vault: Vault) -> None:
    ini = vault.document("d.ini", b"[mail]\nsmtp = hunter2\nport = 25\n")
    assert json.loads(vault.value(ini, key="mail", output="json")) == {"smtp": "hunter2", "port": "25"}
    assert vault.value(ini, key="mail", output="yaml") == b'smtp: hunter2\nport: "25"\n'
    env = vault.document("d.env", KINDS[Format.DOTENV])
    assert vault.value(env, key="PORT", output="json") == b'"25"\n'


def test_sealed_comments_of_a_list_are_not_counted(vault: Vault, sops: Sops) -> None:
    clear = b"list:\n    # first\n    - a\n    # second\n    - b\n"
    path = sops.document("d.yaml", clear)
    assert b"type:comment" in path.read_bytes()
    assert vault.value(path, key="list/1") == b"b"
    assert json.loads(vault.value(path, key="list", output="json")) == ["a", "b"]
    assert vault.value(path) == clear


def test_anchors(vault: Vault) -> None:
    path = vault.document("d.yaml", b"base: &base\n    user: alice\nweb: *base\n")
    assert vault.value(path, key="web/user") == b"alice"
    assert json.loads(vault.value(path, output="json")) == {
        "base": {"user": "alice"},
        "web": {"user": "alice"},
    }


def test_a_stream_is_no_json(vault: Vault) -> None:
    clear = b"a: 1\n---\nb: 2\n"
    path = vault.document("d.yaml", clear)
    assert vault.value(path) == clear
    assert vault.value(path, output="yaml") == clear
    assert vault.value(path, key="a") == b"1"
    error = vault.failure(path, output="json")
    assert isinstance(error, RefusedInput)
    assert "a stream of 2 documents" in error.message


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("mail/smpt", "no key 'mail/smpt'; near it: 'mail/smtp'"),
        ("MAIL/smtp", "near it: 'mail'"),
        ("mail/zzz", "in 'mail' there is: 'mail/smtp', 'mail/port', 'mail/tls'"),
        ("zzz", "there is: 'mail', 'list'"),
        ("mail/smtp/x", "'mail/smtp' is a single value with nothing below it"),
        ("list/2", "'list' is a list of 2, counted from 0"),
        ("list/one", "'list' is a list of 2"),
    ],
)
def test_a_missing_key_says_what_is_there(vault: Vault, key: str, said: str) -> None:
    path = vault.document("d.yaml", KINDS[Format.YAML])
    error = vault.failure(path, key=key)
    assert isinstance(error, NotFound)
    assert error.code is Code.NOT_FOUND
    assert error.message.startswith(f"{path}: no key '")
    assert said in error.message
    assert "hunter2" not in text_of(error)


def test_what_is_named_can_be_pasted_into_the_manifest(vault: Vault) -> None:
    path = vault.document("d.yaml", b'"a/b":\n    "c~d": 1\n    "7": 2\n    "\\u202e": 3\n')
    message = vault.failure(path, key="a~1b/zzz").message
    assert "'a~1b/c~0d', 'a~1b/7', 'a~1b/\\u202e'" in message
    for key in re.findall(r"'(a~1b/[^'\\]+)'", message)[1:]:
        assert vault.value(path, key=key) in (b"1", b"2")


@pytest.mark.parametrize(
    ("key", "what", "below"),
    [("mail", "mapping", "'mail/smtp', 'mail/port', 'mail/tls'"), ("list", "list", "'list/0', 'list/1'")],
)
def test_a_subtree_without_output_is_an_error(vault: Vault, key: str, what: str, below: str) -> None:
    error = vault.failure(vault.document("d.yaml", KINDS[Format.YAML]), key=key)
    assert isinstance(error, RefusedInput)
    assert f"'{key}' is a {what} and no single value" in error.message
    assert f"below it: {below}" in error.hints
    assert '"output": "json"' in text_of(error)


@pytest.mark.parametrize("key", ["a~x", "~"])
def test_a_key_that_is_no_path(vault: Vault, key: str) -> None:
    assert vault.failure(vault.document("d.yaml", KINDS[Format.YAML]), key=key).code is Code.USAGE


def test_what_a_format_cannot_hold(vault: Vault) -> None:
    path = vault.document("d.yaml", b"m:\n    inf: .inf\n")
    assert vault.failure(path, key="m", output="json").code is Code.YAML_VALUE
    assert vault.value(path, key="m", output="yaml") == b"inf: .inf\n"


# Each source once


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often something was decrypted, and a tree was made."""
    found = {"age": 0, "documents": 0, "trees": 0, "mappings": 0}

    def counted(module: Any, name: str, what: str) -> None:
        real = getattr(module, name)

        def call(*given: Any, **named: Any) -> Any:
            found[what] += 1
            return real(*given, **named)

        monkeypatch.setattr(module, name, call)

    counted(agefile, "decrypt_age", "age")
    counted(sopsopen, "open_values", "documents")
    counted(picking, "trees", "trees")
    counted(picking, "_entries", "mappings")
    return found


def test_ten_thousand_keys_and_a_thousand_secrets(
    vault: Vault, counts: dict[str, int], within: Within
) -> None:
    clear = "".join(f"key{at}: value{at}\n" for at in range(10_000))
    path = vault.document("d.yaml", clear.encode())
    for at in range(1000):
        # A key in ten is missing, which costs more than a key that is there, but no search of all others each time.
        vault.add(f"s{at}", path, key=f"key{at * 10}" if at % 10 else f"kay{at}")
    openings = vault.openings()
    secrets = vault.manifest().secrets
    first = openings.value(secrets[1])
    assert isinstance(first, Sensitive)
    with within(2):
        found = [openings.value(secret) for secret in secrets]
    assert [item.expose() for item in found if isinstance(item, Sensitive)] == [
        b"value%d" % (at * 10) for at in range(1000) if at % 10
    ]
    assert sum(isinstance(item, NotFound) for item in found) == 100
    assert counts == {"age": 1, "documents": 1, "trees": 1, "mappings": 1}


def test_a_source_of_many_names_is_one_object(vault: Vault, counts: dict[str, int]) -> None:
    age = vault.age("db", b"value")
    document = vault.document("d.yaml", KINDS[Format.YAML])
    for at in range(3):
        vault.add(f"age{at}", age)
        vault.add(f"whole{at}", document)
    openings = vault.openings()
    values = {secret.name: openings.value(secret) for secret in vault.manifest().secrets}
    assert values["age0"] is values["age2"]
    assert values["whole0"] is values["whole2"]
    assert counts["documents"] == 1
    assert counts["age"] == 2, "the age file, and the stanza of the document"


def test_phases_share_a_source(vault: Vault, counts: dict[str, int]) -> None:
    path = vault.document("d.yaml", KINDS[Format.YAML])
    vault.add("a", path, key="mail/smtp", phase="users")
    vault.add("b", path, key="mail/port")
    openings = vault.openings()
    manifest = vault.manifest()
    for phase in ("users", "services"):
        for secret in manifest.secrets:
            if secret.phase == phase:
                assert isinstance(openings.value(secret), Sensitive)
    assert counts["documents"] == 1
    again = openings.value(manifest.secrets[0])
    assert isinstance(again, Sensitive) and again.expose() == b"hunter2"
    assert counts["documents"] == 1, "what was let go of is not opened again"


def test_what_is_used_up_is_let_go_of(vault: Vault) -> None:
    document = vault.document("d.yaml", KINDS[Format.YAML])
    age = vault.age("db", b"value")
    vault.add("a", document, key="mail/smtp")
    vault.add("b", document, key="mail/port")
    vault.add("c", age)
    openings = vault.openings()
    a, b, c = vault.manifest().secrets
    for path in (document, age):
        vault.sources.read(str(path))
    openings.value(a)
    assert list(vault.sources.contents) == [str(age)], "decrypted, so its bytes are not needed"
    assert len(openings._opened) == 1
    openings.value(b)
    assert openings._opened == {}, "no further secret needs the document"
    openings.value(c)
    assert vault.sources.contents == {}
    assert vault.sources.digests().keys() == {str(document), str(age)}, "the digests stay"
    vault.sources.read(str(age))
    assert vault.sources.contents == {}, "and nothing is read twice"


def test_one_source_as_two_formats(vault: Vault) -> None:
    path = vault.document("d.yaml", KINDS[Format.YAML])
    # A JSON document is YAML as well.
    both = vault.document("both.json", b'{"a": 1}')
    for kind in ("age", "yaml", "json"):
        vault.add(f"one-{kind}", path, format=kind)
        vault.add(f"two-{kind}", both, format=kind, **({} if kind == "age" else {"key": "a"}))
    found = vault.opened()
    assert found["one-yaml"] == KINDS[Format.YAML]
    assert isinstance(found["one-json"], SecretsmithError)
    assert (found["two-json"], found["two-yaml"]) == (b"1", b"1")
    for name in ("one-age", "two-age"):
        error = found[name]
        assert isinstance(error, RefusedInput)
        assert error.message.endswith("the file is a sops document, and the manifest says age")


def test_an_age_file_that_the_manifest_calls_yaml(vault: Vault) -> None:
    error = vault.failure(vault.age("db", b"a: 1"), format="yaml")
    assert error.code is Code.FORMAT
    assert error.message.endswith("db.age: the file is an age file, and the manifest says yaml")


# One bad source


def damaged(vault: Vault, path: Path) -> None:
    data = path.read_bytes()
    at = data.index(b"data:", data.index(b"smtp: ")) + 5
    path.write_bytes(data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :])


def moved(vault: Vault, path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    assert b"smtp" in lines[2]
    path.write_bytes(b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]))


def removed(vault: Vault, path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))


def added(vault: Vault, path: Path) -> None:
    path.write_bytes(b"evil_unencrypted: 1\n" + path.read_bytes())


@pytest.mark.parametrize("damage", [damaged, moved, removed, added])
def test_a_damaged_document_fails_all_its_secrets(
    vault: Vault, damage: Callable[[Vault, Path], None]
) -> None:
    """The MAC is always looked at: a value alone could be opened, and would be one that was put back."""
    path = vault.document("d.yaml", KINDS[Format.YAML])
    vault.add("port", path, key="mail/port")
    vault.add("list", path, key="list", output="json")
    vault.add("good", vault.age("good", b"good"))
    damage(vault, path)
    found = vault.opened()
    assert found["good"] == b"good"
    for name in ("port", "list"):
        error = found[name]
        assert isinstance(error, IntegrityFailure), error
        assert error.message.startswith(f"{path}: ")
        assert error.path == str(path)


def test_a_document_without_its_mac(vault: Vault) -> None:
    path = vault.document("d.yaml", KINDS[Format.YAML])
    path.write_bytes(re.sub(rb"(?m)^ *mac: .*\n", b"", path.read_bytes()))
    assert isinstance(vault.failure(path, key="mail/port"), IntegrityFailure)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


HOSTILE: dict[str, tuple[Callable[[Path], object], set[Code]]] = {
    "symlink": (lambda path: path.symlink_to("/etc/shadow"), {Code.NOT_REGULAR}),
    "dangling": (lambda path: path.symlink_to("/nonexistent"), {Code.NOT_REGULAR}),
    "fifo": (lambda path: os.mkfifo(path), {Code.NOT_REGULAR}),
    "folder": (lambda path: path.mkdir(), {Code.NOT_REGULAR}),
    "missing": (lambda path: None, {Code.NOT_FOUND}),
    "empty": (lambda path: path.write_bytes(b""), {Code.EMPTY, Code.FORMAT}),
    "garbage": (lambda path: path.write_bytes(bytes(range(190, 254))), set()),
    "text": (lambda path: path.write_bytes(b"password = hunter2\n"), set()),
    "zeros": (lambda path: path.write_bytes(bytes(50 << 20)), set()),
    "letters": (lambda path: path.write_bytes(b"a: b\n" * (10 << 20)), set()),
    "sparse": (sparse, {Code.TOO_BIG}),
    "nesting": (lambda path: path.write_bytes(b"[" * 100_000), set()),
}


@pytest.mark.parametrize("kind", ["age", "yaml", "json", "dotenv", "ini", "binary"])
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_sources_fail_alone_and_fast(vault: Vault, within: Within, what: str, kind: str) -> None:
    make, codes = HOSTILE[what]
    path = vault.folder / "hostile"
    make(path)
    vault.add("good", vault.age("good", b"good"))
    vault.add("bad", path, format=kind)
    vault.add("last", vault.document("last.yaml", b"a: 1\n"), key="a")
    with within(2):
        found = vault.opened()
    assert (found["good"], found["last"]) == (b"good", b"1")
    error = found["bad"]
    assert isinstance(error, SecretsmithError)
    assert not codes or error.code in codes
    assert "internal error" not in error.message
    assert str(path) in error.message
    assert "hunter2" not in text_of(error)
    assert not any("hunter2" in item for item in (repr(error), *error.hints))


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_not_read(vault: Vault, device: str) -> None:
    path = vault.folder / "device"
    os.mknod(path, os.stat(device).st_mode, os.stat(device).st_rdev)
    assert vault.failure(path, format="yaml").code is Code.NOT_REGULAR


def test_a_mistake_of_ours_stays_with_its_secret(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("hunter2")

    path = vault.document("d.yaml", KINDS[Format.YAML])
    vault.add("good", vault.age("good", b"good"))
    vault.add("bad", path, key="mail/port")
    monkeypatch.setattr(picking, "leaf_text", broken)
    found = vault.opened()
    assert found["good"] == b"good"
    error = found["bad"]
    assert isinstance(error, SecretsmithError)
    assert text_of(error) == f"{path}: internal error: ValueError"


def test_a_mistake_of_ours_is_made_once(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def broken(*given: object) -> None:
        calls.append(given)
        raise RecursionError

    path = vault.document("d.yaml", KINDS[Format.YAML])
    for name in ("a", "b", "c"):
        vault.add(name, path, key="mail/port")
    monkeypatch.setattr(sopsopen, "open_values", broken)
    assert all(isinstance(item, SecretsmithError) for item in vault.opened().values())
    assert len(calls) == 1


# Keys


@pytest.mark.parametrize("form", ["native", "derived"])
def test_both_forms_of_the_host_key(vault: Vault, form: str) -> None:
    recipient = vault.key.public if form == "native" else derived(vault.key)
    path = vault.document("d.yaml", KINDS[Format.YAML], [[ed25519_key().public, recipient]])
    assert vault.value(path, key="mail/port") == b"25"


def test_several_key_groups(vault: Vault) -> None:
    second = ed25519_key()
    groups = [[derived(vault.key)], [derived(second)], [ed25519_key().public]]
    path = vault.document("d.yaml", KINDS[Format.YAML], groups, threshold=2)
    error = vault.failure(path, key="mail/port")
    assert error.code is Code.KEY_GROUPS
    assert "2 of its 3 key groups are needed" in error.message
    second.write(vault.folder, "second")
    vault.members["identities"].append(str(vault.folder / "second"))
    assert vault.value(path, key="mail/port") == b"25"


def test_a_missing_source_says_what_to_do(vault: Vault) -> None:
    error = vault.failure(vault.folder / "gone.age")
    assert error.code is Code.NOT_FOUND
    assert "bring the encrypted files" in error.hints[0]


def test_no_key(vault: Vault) -> None:
    vault.key_file.unlink()
    for path in (vault.age("db", b"x"), vault.document("d.yaml", b"a: 1\n")):
        error = vault.failure(path)
        assert isinstance(error, CannotDecrypt)
        assert error.code is Code.NO_IDENTITY
        assert error.message == f"{path}: this host has no key to open it with"


def test_an_rsa_key_opens_what_is_for_it(vault: Vault) -> None:
    vault.key = rsa_key()
    vault.key.write(vault.folder, "host_key")
    assert vault.value(vault.age("db", b"value")) == b"value"


# Digests


def test_digests_of_some_paths(vault: Vault) -> None:
    sources = Sources()
    paths = [str(vault.write(name, name.encode())) for name in ("a", "b")]
    gone = str(vault.folder / "gone")
    for path in (*paths, gone):
        sources.read(path)
    every = sources.digests()
    assert every.keys() == {*paths, gone}
    assert every[gone] == Code.NOT_FOUND
    assert sources.digests([paths[0], gone, "/never/read"]) == {
        paths[0]: every[paths[0]],
        gone: Code.NOT_FOUND,
    }
    sources.release(paths[0])
    assert sources.digests() == every


def test_too_much_in_all_is_said_so(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secretsmith.activation.opening.sources.MAX_TOTAL_BYTES", 10)
    sources = Sources()
    for name in ("a", "b", "c"):
        sources.read(str(vault.write(name, b"12345678"[: 8 if name != "c" else 2])))
    assert [Path(path).name for path in sources.contents] == ["a", "c"], "what still has room is read"
    (error,) = sources.failures.values()
    assert error.code is Code.TOO_BIG
    assert "together" in error.message
