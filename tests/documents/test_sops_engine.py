"""The engine on documents of our own: who reads, what is opened, what changes and what stays."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from sopstrees import data_of
from sopsvectors import opener, read, recipient

from secretsmith.crypto import valuecipher
from secretsmith.crypto.agefile import encrypt_age
from secretsmith.crypto.valuecipher import parse_sealed
from secretsmith.documents import sopskey, sopsopen, sopsrewrap, sopswrite
from secretsmith.documents.format import Format
from secretsmith.documents.givenvalue import given_json
from secretsmith.documents.metadata import parse_metadata, to_mapping
from secretsmith.documents.sopsedit import replace_plaintext, set_value, unset_value
from secretsmith.documents.sopsfile import read_sops
from secretsmith.documents.sopskey import Recovered, recover, share_of_group
from secretsmith.documents.sopsnew import new_document
from secretsmith.documents.sopsopen import OpenDocument, open_document, open_one, open_values
from secretsmith.documents.sopsplain import converted, plaintext, trees
from secretsmith.documents.sopsreaders import readers_of
from secretsmith.documents.sopsrewrap import change_of, rewrap, rotate
from secretsmith.documents.tree import LeafKind
from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, NotFound, RefusedInput, SecretsmithError
from secretsmith.record import replace
from secretsmith.sensitive import Sensitive

A, B, C = (recipient(name) for name in ("a.txt", "b.txt", "c.txt"))
SSH = recipient("ssh_host_ed25519_key")
SEALED = re.compile(rb"ENC\[AES256_GCM,[^\]]*\]")
CLEAR = b'{\n  "db": {"user": "app", "password": "hunter2"},\n  "ports": [80, 443, 80],\n  "note_unencrypted": "x"\n}\n'


def clock() -> float:
    return 1_800_000_000.0


def made(groups: list[list[str]] | None = None, **more: Any) -> bytes:
    return new_document(Format.JSON, CLEAR, groups or [[A]], clock=clock, **more)


def opened(source: bytes, *keys: str, kind: Format = Format.JSON) -> OpenDocument:
    return open_document(kind, source, opener(*(f"{key}.txt" for key in keys or ("a",))))


def values(source: bytes, *keys: str) -> Any:
    return json.loads(plaintext(opened(source, *keys)))


def test_a_new_document_keeps_its_text() -> None:
    source = made()
    assert plaintext(opened(source)) == CLEAR
    assert b'"note_unencrypted": "x"' in source
    assert b"hunter2" not in source
    metadata = json.loads(source)["sops"]
    assert list(metadata) == ["age", "lastmodified", "mac", "unencrypted_suffix", "version"]
    assert metadata["lastmodified"] == "2027-01-15T08:00:00Z"
    assert list(metadata["age"][0]) == ["recipient", "enc"]


def test_every_value_has_its_own_nonce() -> None:
    found = [parse_sealed(text.decode()).iv for text in SEALED.findall(made())]
    assert len(found) == len(set(found)) == 6
    # Equal values of one list, too: nothing shows that they are equal.
    document = json.loads(made())
    assert document["ports"][0] != document["ports"][2]


def test_an_edit_never_uses_a_nonce_for_another_value() -> None:
    source = made()
    before = {parse_sealed(text.decode()).iv: text for text in SEALED.findall(source)}
    document = opened(source)
    for change in (
        set_value(document, ("db", "password"), given_json(b'"other"'), clock),
        replace_plaintext(document, CLEAR.replace(b"hunter2", b"other").replace(b"[80, ", b"[81, "), clock),
        unset_value(document, ("ports", 0), clock),
    ):
        for text in SEALED.findall(change):
            assert before.get(parse_sealed(text.decode()).iv, text) == text


@pytest.mark.parametrize("count", [1, 3])
def test_one_value_is_opened_for_one_value(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = valuecipher.ValueKey.decrypt

    def counted(*arguments: Any) -> bytes:
        calls.append("opened")
        return real(*arguments)

    monkeypatch.setattr(valuecipher.ValueKey, "decrypt", counted)
    source = made()
    calls.clear()
    for _ in range(count):
        assert open_one(Format.JSON, source, ("db", "password"), opener("a.txt")) == (
            LeafKind.STRING,
            b"hunter2",
        )
    assert len(calls) == count


def test_a_missing_value_is_found_out_without_a_key() -> None:
    def never(stanza: bytes) -> Sensitive:
        raise AssertionError("a key was used")

    for path in (("nope",), ("db",), ("ports", 3), ("db", "password", "x")):
        with pytest.raises(NotFound):
            open_one(Format.JSON, made(), path, never)


def test_numbers_name_keys_too() -> None:
    source = new_document(Format.JSON, b'{"codes": {"200": "ok"}}', [[A]])
    assert open_one(Format.JSON, source, ("codes", 200), opener("a.txt"))[1] == b"ok"
    changed = set_value(opened(source), ("codes", 200), given_json(b'"fine"'))
    assert values(changed) == {"codes": {"200": "fine"}}


def test_added_readers_open_no_value_and_keep_the_stanzas(monkeypatch: pytest.MonkeyPatch) -> None:
    source = made([[A]])
    file = read_sops(Format.JSON, source)
    recovered = recover(file.metadata, opener("a.txt"))
    sealed: list[str] = []
    monkeypatch.setattr(sopsopen, "open_sealed", lambda *_: pytest.fail("a value was opened"))
    real = sopskey.seal_key

    def counted(share: Sensitive, to: str, interaction: Any = None) -> Any:
        sealed.append(to)
        return real(share, to, interaction)

    monkeypatch.setattr(sopsrewrap, "seal_key", counted)
    result = rewrap(file, recovered, [[A, B, SSH]])
    monkeypatch.undo()
    assert sealed == [B, SSH]
    assert SEALED.findall(result) == SEALED.findall(source)
    before, after = json.loads(source), json.loads(result)
    assert after["sops"]["age"][0] == before["sops"]["age"][0]
    assert [entry["recipient"] for entry in after["sops"]["age"]] == [A, B, SSH]
    for name in ("mac", "lastmodified", "version"):
        assert after["sops"][name] == before["sops"][name]
    assert values(result, "b") == values(source)
    assert open_document(Format.JSON, result, opener("ssh_host_ed25519_key")).values


def test_a_removed_reader_changes_every_sealed_text_and_nothing_else() -> None:
    source = made([[A, B]])
    file = read_sops(Format.JSON, source)
    result = rewrap(file, recover(file.metadata, opener("a.txt")), [[A]], clock=lambda: clock() + 60)
    assert not set(SEALED.findall(source)) & set(SEALED.findall(result))
    start, end = source.index(b'"sops"'), result.index(b'"sops"')
    assert SEALED.sub(b"", source[:start]) == SEALED.sub(b"", result[:end])
    assert values(result) == values(source)
    with pytest.raises(CannotDecrypt):
        opened(result, "b")
    # The removed reader puts his old stanza back: its key opens nothing any more.
    old = json.loads(source)["sops"]["age"][1]
    forged = json.loads(result)
    forged["sops"]["age"].append(old)
    with pytest.raises(IntegrityFailure):
        opened(json.dumps(forged).encode(), "b")


def test_a_kept_data_key_still_opens() -> None:
    source = made([[A, B]])
    file = read_sops(Format.JSON, source)
    result = rewrap(file, recover(file.metadata, opener("a.txt")), [[A]], keep_data_key=True)
    assert SEALED.findall(result) == SEALED.findall(source)
    forged = json.loads(result)
    forged["sops"]["age"].append(json.loads(source)["sops"]["age"][1])
    assert opened(json.dumps(forged).encode(), "b").values  # this is why it is recorded as exposed


def test_the_same_readers_change_nothing() -> None:
    source = made([[A, f"{SSH} root@web"]])
    file = read_sops(Format.JSON, source)
    assert not change_of(file.metadata, [[SSH, A]])
    assert rewrap(file, Recovered(Sensitive(b"unused")), [[f"{SSH} other comment", A, A]]) == source


def test_groups_and_shares() -> None:
    source = made([[A], [B], [C]], threshold=2)
    for keys in (("a", "b"), ("b", "c"), ("a", "c"), ("a", "b", "c")):
        assert plaintext(opened(source, *keys)) == CLEAR
    with pytest.raises(CannotDecrypt) as failure:
        opened(source, "b")
    assert "2 of 3 key groups are needed, 1 could be opened" in failure.value.hints[0]


def test_no_more_groups_are_opened_than_needed() -> None:
    asked: list[bytes] = []
    real = opener("a.txt", "b.txt", "c.txt")

    def counted(stanza: bytes) -> Sensitive:
        asked.append(stanza)
        return real(stanza)

    open_document(Format.JSON, made([[A], [B], [C]], threshold=2), counted)
    assert len(asked) == 2


@pytest.mark.parametrize("group", [0, 1, 2])
def test_a_reader_added_to_a_group_gets_its_share(group: int) -> None:
    source = made([[A], [B], [C]], threshold=2)
    file = read_sops(Format.JSON, source)
    groups = [[A], [B], [C]]
    groups[group].append(SSH)
    # The third group's share is worked out from the two that are opened.
    result = rewrap(file, recover(file.metadata, opener("a.txt", "b.txt")), groups)
    assert SEALED.findall(result) == SEALED.findall(source)
    other = "c.txt" if group != 2 else "a.txt"
    assert open_document(Format.JSON, result, opener("ssh_host_ed25519_key", other)).values


def test_shares_are_worked_out_for_any_group() -> None:
    source = made([[A], [B], [C]], threshold=2)
    metadata = read_sops(Format.JSON, source).metadata
    every = {
        number: opener(name)(metadata.groups[number].age[0].enc.encode())
        for number, name in enumerate(("a.txt", "b.txt", "c.txt"))
    }
    partial = recover(metadata, opener("a.txt", "b.txt"))
    assert partial.shares.keys() == {0, 1}
    assert all(share_of_group(partial, number) == share for number, share in every.items())


def test_regrouping_takes_a_new_key_unless_told() -> None:
    source = made([[A]])
    file = read_sops(Format.JSON, source)
    recovered = recover(file.metadata, opener("a.txt"))
    change = change_of(file.metadata, [[A], [B]])
    assert change.regrouped and change.added == (B,) and change.needs_new_key
    result = rewrap(file, recovered, [[A], [B]])
    assert not set(SEALED.findall(source)) & set(SEALED.findall(result))
    assert json.loads(result)["sops"]["shamir_threshold"] == 2
    assert values(result, "a", "b") == values(source)
    kept = rewrap(file, recovered, [[A], [B]], keep_data_key=True)
    assert SEALED.findall(kept) == SEALED.findall(source)


@pytest.mark.parametrize("groups", [[], [[]], [[A], []]])
def test_nobody_is_no_reader(groups: list[list[str]]) -> None:
    with pytest.raises(RefusedInput) as failure:
        new_document(Format.JSON, CLEAR, groups)
    assert failure.value.code is Code.RECIPIENT_MISSING
    file = read_sops(Format.JSON, made([[A, B]]))
    with pytest.raises(RefusedInput):
        rewrap(file, recover(file.metadata, opener("a.txt")), groups)


@pytest.mark.parametrize("threshold", [1, 3, -1, 256])
def test_a_threshold_fits_the_groups(threshold: int) -> None:
    with pytest.raises(RefusedInput):
        made([[A], [B]], threshold=threshold)


FOREIGN = {
    "kms": [{"arn": "arn:aws:kms:x", "created_at": "2024-01-01T00:00:00Z", "enc": "AQID", "aws_profile": ""}],
    "pgp": [{"created_at": "2024-01-01T00:00:00Z", "enc": "-----BEGIN PGP MESSAGE-----\n", "fp": "ABCD"}],
}


def with_foreign(source: bytes, *, only: bool = False) -> bytes:
    document = json.loads(source)
    document["sops"] |= FOREIGN
    if only:
        del document["sops"]["age"]
    return json.dumps(document, indent="\t").encode() + b"\n"


def test_other_key_services_stay_untouched() -> None:
    source = with_foreign(made())
    document = opened(source)
    for result in (
        set_value(document, ("db", "user"), given_json(b'"root"'), clock),
        rewrap(document.file, document.recovered, [[A, B]]),
        rewrap(document.file, document.recovered, [[B]], keep_data_key=True),
    ):
        assert json.loads(result)["sops"].items() >= FOREIGN.items()
    refused: list[Callable[[], bytes]] = [
        lambda: rotate(document),
        lambda: rewrap(document.file, document.recovered, [[B]]),
        lambda: rewrap(document.file, document.recovered, [[A], [B]], keep_data_key=True),
    ]
    for change in refused:
        with pytest.raises(RefusedInput, match="kms, pgp"):
            change()


def test_keys_of_other_services_are_named() -> None:
    source = with_foreign(made(), only=True)
    with pytest.raises(CannotDecrypt, match="AWS KMS, PGP only") as failure:
        opened(source)
    assert failure.value.code is Code.NO_IDENTITY
    seen: list[bytes] = []
    key = opened(made()).data_key

    def gpg(message: bytes) -> Sensitive:
        seen.append(message)
        return key

    with pytest.raises(IntegrityFailure):
        open_document(Format.JSON, source, opener("a.txt"), open_pgp=gpg)  # a key, but not this document's
    assert seen == [b"-----BEGIN PGP MESSAGE-----\n"]


def test_a_document_moves_from_pgp_to_age() -> None:
    source = made()
    key = opened(source).data_key
    file = read_sops(Format.JSON, with_foreign(source, only=True))
    recovered = recover(file.metadata, opener(), lambda _: key)
    assert opened(rewrap(file, recovered, [[B]]), "b").values


def test_a_damaged_stanza_keeps_nobody_else_out() -> None:
    document = json.loads(made([[A, B]]))
    document["sops"]["age"][0]["enc"] = "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n"
    source = json.dumps(document).encode()
    assert opened(source, "b").values
    with pytest.raises(CannotDecrypt) as failure:
        opened(source, "a")
    assert any("damaged" in hint for hint in failure.value.hints)


def test_what_a_locked_key_says_is_passed_on() -> None:
    def locked(stanza: bytes) -> Sensitive:
        raise CannotDecrypt(Code.PASSPHRASE, "wrong passphrase")

    with pytest.raises(CannotDecrypt) as failure:
        open_document(Format.JSON, made(), locked)
    assert failure.value.code is Code.PASSPHRASE


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_data_key_has_32_bytes(size: int) -> None:
    with pytest.raises(IntegrityFailure):
        open_document(Format.JSON, made(), lambda _: Sensitive(b"k" * size))


@pytest.mark.parametrize("version", ["4.0.0", "9.9.9", "x", "99999999999"])
def test_later_versions_are_only_read(version: str) -> None:
    document = json.loads(made())
    document["sops"]["version"] = version
    later = opened(json.dumps(document).encode())
    assert data_of(trees(later)[0]) == json.loads(CLEAR)
    refused: list[Callable[[], bytes]] = [
        lambda: set_value(later, ("db", "user"), given_json(b"1")),
        lambda: unset_value(later, ("db", "user")),
        lambda: replace_plaintext(later, b"{}"),
        lambda: rotate(later),
        lambda: rewrap(later.file, later.recovered, [[A, B]]),
    ]
    for change in refused:
        with pytest.raises(RefusedInput) as failure:
            change()
        assert failure.value.code is Code.VERSION


def test_ignoring_the_mac_warns() -> None:
    document = json.loads(made())
    del document["db"]["user"]
    source = json.dumps(document).encode()
    with pytest.raises(IntegrityFailure) as failure:
        opened(source)
    assert failure.value.code is Code.MAC
    loose = open_document(Format.JSON, source, opener("a.txt"), ignore_mac=True)
    assert any("MAC was not checked" in warning for warning in loose.warnings)


def test_a_wrong_value_is_named_by_its_place_and_not_shown() -> None:
    document = json.loads(made())
    document["db"]["password"] = "hunter2 in clear"
    with pytest.raises(IntegrityFailure, match=re.escape("'db/password'")) as failure:
        opened(json.dumps(document).encode())
    assert "hunter2" not in str(failure.value)


def test_big_integers_as_older_versions_hashed_them() -> None:
    # Before 3.13.2 sops made floats of JSON's numbers, so a clear one entered the MAC rounded.
    exact = b'{"n_unencrypted": 9007199254740993, "s": "x"}'
    source = new_document(Format.JSON, exact, [[A]])
    file = read_sops(Format.JSON, source)
    document = open_values(file, recover(file.metadata, opener("a.txt")))
    rounded = sopsopen.mac_of(file, document.values, wide=False).hexdigest()
    assert rounded != sopsopen.mac_of(file, document.values).hexdigest()
    mac = valuecipher.seal_value_text(rounded.encode(), "str", document.data_key, file.metadata.mac_aad)
    older = file.document.splice(sopswrite.stamp_edits(file, replace(file.metadata, mac=mac)))
    assert opened(older).values == document.values


@pytest.mark.parametrize(
    "path", [("db", "password"), ("ports", 1), ("ports", 9), ("new",), ("a", "b", "c"), ("l", 0)]
)
@pytest.mark.parametrize(
    "value", [b'"text"', b"7", b"null", b'""', b"true", b"[]", b"{}", b'{"k": [1, "two"]}']
)
def test_set_puts_any_value_anywhere(path: tuple[str | int, ...], value: bytes) -> None:
    expected = json.loads(CLEAR)
    node: Any = expected
    for step, after in itertools.pairwise(path):
        if isinstance(node, dict):
            node = node.setdefault(step, [] if isinstance(after, int) else {})
    if isinstance(node, list):
        node[path[-1] : path[-1] + 1] = [json.loads(value)]  # type: ignore[index, operator]
    else:
        node[path[-1]] = json.loads(value)
    source = made()
    result = set_value(opened(source), path, given_json(value), clock)
    assert values(result) == expected
    kept = set(SEALED.findall(source)) & set(SEALED.findall(result))
    assert len(kept) >= 4
    again = set_value(opened(result), path, given_json(value), clock, idempotent=True)
    if path != ("ports", 9):
        assert again == result


@pytest.mark.parametrize("path", [("db",), ("db", "user"), ("ports",), ("ports", 0), ("note_unencrypted",)])
def test_unset_takes_away(path: tuple[str | int, ...]) -> None:
    expected = json.loads(CLEAR)
    node: Any = expected
    for step in path[:-1]:
        node = node[step]
    del node[path[-1]]
    assert values(unset_value(opened(made()), path, clock)) == expected


@pytest.mark.parametrize("verb", [lambda d, p: set_value(d, p, given_json(b"1")), unset_value])
def test_the_block_and_the_whole_are_no_values(verb: Callable[..., bytes]) -> None:
    document = opened(made())
    for path in ((), ("sops",), ("sops", "mac")):
        with pytest.raises(SecretsmithError) as failure:
            verb(document, path)
        assert failure.value.code in (Code.USAGE, Code.YAML_SHAPE, Code.NOT_FOUND)


def test_an_edit_back_and_forth_reuses_what_moved() -> None:
    source = made()
    document = opened(source)
    longer = replace_plaintext(document, CLEAR.replace(b"[80, ", b"[22, 80, "), clock)
    before, after = json.loads(source)["ports"], json.loads(longer)["ports"]
    assert after[1:] == [before[0], before[1], before[2]] or sorted(after[1:]) == sorted(before)
    assert json.loads(longer)["db"] == json.loads(source)["db"]


def test_an_edit_may_reformat() -> None:
    document = opened(made())
    compact = json.dumps(json.loads(CLEAR), separators=(",", ":")).encode()
    result = replace_plaintext(document, compact, clock)
    assert plaintext(opened(result)) == compact
    assert len(set(SEALED.findall(result)) & set(SEALED.findall(document.document.source))) == 5


@pytest.mark.parametrize(
    "clear", [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b'{"sops": {"mac": "x"}}', b'{"sops": 1}']
)
def test_an_edit_that_cannot_be_kept_is_refused(clear: bytes) -> None:
    with pytest.raises(RefusedInput):
        replace_plaintext(opened(made()), clear)


def test_unknown_metadata_stays_in_its_place() -> None:
    document = json.loads(made())
    block = {"future": {"a": [1]}, **document["sops"], "kms": [], "zzz": None}
    source = json.dumps(document | {"sops": block}, indent=1).encode()
    result = json.loads(rewrap(read_sops(Format.JSON, source), opened(source).recovered, [[A, B]]))["sops"]
    assert list(result) == list(block)
    assert result["future"] == {"a": [1]}
    assert to_mapping(parse_metadata(block)) == block


def test_a_stanza_for_somebody_else_is_found() -> None:
    source = made([[A, SSH]])
    assert [each.kind for each in readers_of(read_sops(Format.JSON, source))] == ["recipient", "ssh-ed25519"]
    for place, other in ((1, [A]), (0, [SSH]), (0, [A, B])):
        document = json.loads(source)
        enc = encrypt_age(Sensitive(b"k" * 32), other, armor=True).decode()
        document["sops"]["age"][place]["enc"] = enc
        with pytest.raises(IntegrityFailure) as failure:
            readers_of(read_sops(Format.JSON, json.dumps(document).encode()))
        assert failure.value.code is Code.RECIPIENT_MISMATCH
        # No command of ours writes such a file.
        assert not any("secretsmith" in hint for hint in failure.value.hints)


def test_other_formats_get_the_same_values() -> None:
    document = open_document(Format.DOTENV, read("enc/dotenv_basic.env"), opener("a.txt"))
    assert json.loads(converted(document, Format.JSON)) == json.loads(read("expected/dotenv_basic.json"))
    with pytest.raises(RefusedInput):
        converted(opened(made()), Format.DOTENV)  # a list has no place there
    with pytest.raises(SecretsmithError):
        converted(opened(made()), Format.BINARY)


@pytest.mark.parametrize(
    "clear", [b"", b"\x00\xff", b"text\n", b'{"sops": {"mac": "x"}, "data": "ENC[AES256_GCM,"}']
)
def test_binary_documents_hold_anything(clear: bytes) -> None:
    source = new_document(Format.BINARY, clear, [[A]], mac_only_encrypted=True)
    document = opened(source, kind=Format.BINARY)
    assert plaintext(document) == clear
    assert "mac_only_encrypted" not in json.loads(source)["sops"]
    assert replace_plaintext(document, clear) == source
    changed = replace_plaintext(document, clear + b"!")
    assert plaintext(opened(changed, kind=Format.BINARY)) == clear + b"!"


def test_what_does_not_read_back_is_not_given_out() -> None:
    source = made()
    document = opened(source)
    wrong = [*document.values[:-1], (LeafKind.STRING, b"another")]
    with pytest.raises(SecretsmithError) as failure:
        sopswrite.finish(Format.JSON, source, document.recovered, clock, expected=wrong)
    assert failure.value.code is Code.ERROR
    with pytest.raises(SecretsmithError) as failure:
        sopswrite.checked(Format.JSON, source, document.recovered, wrong)
    assert failure.value.code is Code.ERROR
    with pytest.raises(SecretsmithError, match="does not read back"):
        sopswrite.finish(Format.JSON, source, Recovered(Sensitive(b"k" * 32)), clock)
