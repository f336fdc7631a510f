"""Every update of the public vectors: what the real sops 3.11.0 did to a document, done by us to the same one.

The values must agree, the same sealed texts must stay, and the real sops must open the result.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sopstrees import data_of
from sopsvectors import KEYS, UPDATES, VECTORS, format_named, opener, read, recipient

from secretsmith.documents.codec import codec_of
from secretsmith.documents.format import Format
from secretsmith.documents.givenvalue import given_json
from secretsmith.documents.node import document_trees
from secretsmith.documents.sopsedit import replace_plaintext, set_value, unset_value
from secretsmith.documents.sopsfile import read_sops
from secretsmith.documents.sopskey import recover
from secretsmith.documents.sopsnew import new_document
from secretsmith.documents.sopsopen import OpenDocument, open_document, open_one
from secretsmith.documents.sopsplain import plaintext, subtree, trees, values_at
from secretsmith.documents.sopsrewrap import change_of, rewrap, rotate
from secretsmith.documents.tree import TreePath, parse_tree_path
from secretsmith.errors import NotFound, RefusedInput
from secretsmith.store.atomic import read_file

SEALED = re.compile(rb"ENC\[AES256_GCM,[^\]]*\]")
NOW = 1_800_000_000.0
BY_NAME = {update["name"]: update for update in UPDATES}
A, B, C = (recipient(name) for name in ("a.txt", "b.txt", "c.txt"))


def clock() -> float:
    return NOW


def groups_of(document: OpenDocument) -> list[list[str]]:
    return [[entry.recipient for entry in group.age] for group in document.file.metadata.groups]


def brackets(text: str) -> TreePath:
    """Read sops's way to name a value: ``["a"][0]``."""
    assert re.fullmatch(r"(\[(\"[^\"]*\"|[0-9]+)\])+", text)
    return tuple(json.loads(part) for part in re.findall(r"\[(\"[^\"]*\"|[0-9]+)\]", text))


def edited(document: OpenDocument, update: dict[str, Any]) -> bytes:
    """Do what ``sed -i s/…/…/`` did in sops's editor."""
    editor = update["env"]["EDITOR"]
    clear = plaintext(document)
    if editor != "true":
        found = re.fullmatch(r"sed -i s/([^/]*)/([^/]*)/", editor)
        assert found is not None
        old, new = found[1].encode(), found[2].encode()
        clear = b"".join(line.replace(old, new, 1) for line in clear.splitlines(keepends=True))
    return replace_plaintext(document, clear, clock)


def set_(document: OpenDocument, update: dict[str, Any]) -> bytes:
    arguments = [word for word in update["command"][1:] if not word.startswith("--") and word != "@FILE"]
    # What was piped in is not part of the manifest, but of what came out.
    text = arguments[1] if len(arguments) > 1 else '"from stdin"'
    return set_value(
        document,
        brackets(arguments[0]),
        given_json(text.encode()),
        clock,
        idempotent="--idempotent" in update["command"],
    )


def unset(document: OpenDocument, update: dict[str, Any]) -> bytes:
    return unset_value(
        document, brackets(update["command"][-1]), clock, idempotent="--idempotent" in update["command"]
    )


def rotated(document: OpenDocument, update: dict[str, Any]) -> bytes:
    command = update["command"]
    groups = groups_of(document)
    if "--add-age" in command:
        groups[0].append(command[command.index("--add-age") + 1])
    if "--rm-age" in command:
        leaving = command[command.index("--rm-age") + 1]
        groups = [[each for each in group if each != leaving] for group in groups]
    return rotate(document, groups=groups, clock=clock)


CONFIGS = {"sops-config-ab.yaml": [[A, B]], "sops-config-shamir.yaml": [[A], [B], [C]]}


def regrouped(document: OpenDocument, update: dict[str, Any]) -> bytes:
    """Change who reads and keep the data key, as sops does; by default we would take a new one."""
    command = update["command"]
    if command[0] == "--config":
        groups, threshold = CONFIGS[command[1]], None
    elif command[1] == "add":
        groups, threshold = [*groups_of(document), [command[command.index("--age") + 1]]], int(command[-1])
    else:
        groups, threshold = groups_of(document), None
        del groups[int(command[-1])]
    file = read_sops(document.file.format, document.document.source)
    recovered = recover(file.metadata, opener("a.txt", "b.txt", "c.txt"))
    return rewrap(file, recovered, groups, threshold=threshold, keep_data_key=True, clock=clock)


VERBS: dict[str, Callable[[OpenDocument, dict[str, Any]], bytes]] = {
    **dict.fromkeys(("edit_unchanged", "edit_one_value", "json_edit", "dotenv_edit", "ini_edit"), edited),
    **dict.fromkeys(("binary_edit", "comments_edit", "multidoc_edit"), edited),
    **dict.fromkeys(("set_string", "set_int_is_float", "set_new_tree", "set_list_index"), set_),
    **dict.fromkeys(("set_same_value", "set_same_value_idempotent", "set_value_stdin"), set_),
    **dict.fromkeys(("unset", "unset_missing_idempotent"), unset),
    **dict.fromkeys(("rotate", "rotate_add_age", "rotate_rm_age"), rotated),
    **dict.fromkeys(("updatekeys_add", "updatekeys_noop", "updatekeys_to_shamir"), regrouped),
    **dict.fromkeys(("groups_add", "groups_delete"), regrouped),
}
OTHERS = {
    "editor_fails": "the text is not given back",
    "set_bad_json": "",
    "set_bad_path": "",
    "unset_missing": "",
    **dict.fromkeys(("extract_string", "extract_int", "extract_list", "extract_item"), ""),
    **dict.fromkeys(("extract_missing", "extract_badpath"), ""),
    **dict.fromkeys(("filestatus", "encrypt_twice", "exec_env_exit", "exec_file", "nonexistent"), ""),
}


def before(update: dict[str, Any], *, ignore_mac: bool = False) -> OpenDocument:
    return open_document(
        format_named(update["before"]),
        read(update["before"]),
        opener("a.txt", "b.txt", "c.txt"),
        ignore_mac=ignore_mac,
    )


def of(name: str) -> OpenDocument:
    return before(BY_NAME[name])


def data(kind: Format, clear: bytes) -> list[object]:
    if kind is Format.BINARY:
        return [clear]
    return [data_of(node) for node in document_trees(codec_of(kind).read(clear))]


def test_all_updates_are_here() -> None:
    assert len(UPDATES) == 40
    # set_list_append and its like have a test each below; nothing may be left over
    assert {update["name"] for update in UPDATES} == VERBS.keys() | OTHERS.keys()


@pytest.mark.parametrize("name", sorted(VERBS))
def test_does_what_sops_did(name: str, tmp_path: Path, peer: Callable[[str], str]) -> None:
    update = BY_NAME[name]
    kind = format_named(update["before"])
    source = read(update["before"])
    result = VERBS[name](before(update), update)

    assert (result == source) is update["byte_identical"]
    kept = set(SEALED.findall(source)) & set(SEALED.findall(result))
    assert len(kept) == update["ciphertexts_kept"]
    assert len(set(SEALED.findall(result))) == update["ciphertexts_after"]

    expected = plaintext(open_document(kind, read(update["after"]), opener("a.txt", "b.txt", "c.txt")))
    ours = open_document(kind, result, opener("a.txt", "b.txt", "c.txt"))
    assert data(kind, plaintext(ours)) == data(kind, expected)
    if update["after_decrypted"] and kind is not Format.BINARY:
        assert data(kind, plaintext(ours)) == data(kind, update["after_decrypted"].encode())

    target = tmp_path / f"result{Path(update['before']).suffix}"
    target.write_bytes(result)
    every = tmp_path / "keys.txt"
    every.write_bytes(b"".join((KEYS / f"{one}.txt").read_bytes() for one in "abc"))
    shown = subprocess.run(
        [peer("sops"), "-d", target],
        capture_output=True,
        env={"SOPS_AGE_KEY_FILE": str(every), "HOME": str(tmp_path)},
        check=True,
    ).stdout
    assert data(kind, shown) == data(kind, expected)


@pytest.mark.parametrize(
    ("name", "lines"),
    [("edit_one_value", 3), ("set_string", 3), ("set_list_index", 3), ("set_int_is_float", 3), ("json_edit", 3),
     ("dotenv_edit", 3), ("ini_edit", 3), ("comments_edit", 3), ("set_same_value", 2)],
)  # fmt: skip
def test_changes_one_line_the_mac_and_the_time(name: str, lines: int) -> None:
    update = BY_NAME[name]
    old = read(update["before"]).split(b"\n")
    new = VERBS[name](before(update), update).split(b"\n")
    assert len(new) == len(old)
    assert sum(left != right for left, right in zip(old, new, strict=True)) == lines


@pytest.mark.parametrize("name", ["updatekeys_add", "updatekeys_to_shamir", "groups_add", "groups_delete"])
def test_new_readers_change_the_block_alone(name: str) -> None:
    update = BY_NAME[name]
    source = read(update["before"])
    result = VERBS[name](before(update), update)
    start = source.index(b"\nsops:")
    assert result[:start] == source[:start]
    for line in (rb"    lastmodified: .*\n", rb"    mac: .*\n", rb"    version: .*\n"):
        assert re.search(line, result)[0] == re.search(line, source)[0]  # type: ignore[index]


def test_rotate_changes_sealed_texts_and_nothing_else() -> None:
    update = BY_NAME["rotate"]
    source, result = read(update["before"]), rotated(before(update), update)
    start, end = source.index(b"\nsops:"), result.index(b"\nsops:")
    assert SEALED.sub(b"ENC", source[:start]) == SEALED.sub(b"ENC", result[:end])
    assert not set(SEALED.findall(source)) & set(SEALED.findall(result))


def test_editor_fails() -> None:
    # Whether the editor failed is the caller's to see; a text cut off by it is refused here.
    with pytest.raises(RefusedInput):
        replace_plaintext(of("editor_fails"), b"", clock)


def test_set_bad_json() -> None:
    with pytest.raises(RefusedInput):
        given_json(BY_NAME["set_bad_json"]["command"][-1].encode())


def test_set_bad_path() -> None:
    # sops's brackets are not our way to name a value; ours has its own mistakes.
    for text in ("a//b", "/a", "a/", "~"):
        with pytest.raises(RefusedInput):
            parse_tree_path(text)
    with pytest.raises(RefusedInput):
        set_value(of("set_bad_path"), (), given_json(b"1"), clock)


def test_unset_missing() -> None:
    with pytest.raises(NotFound):
        unset_value(of("unset_missing"), ("nope",), clock)


@pytest.mark.parametrize("name", ["extract_string", "extract_int", "extract_list", "extract_item"])
def test_extract(name: str) -> None:
    update = BY_NAME[name]
    path = brackets(update["command"][2])
    found = data_of(subtree(before(update), path))
    expected = update["stdout"]
    if name == "extract_list":
        assert found == ["one-42", "two-42"]
        assert expected == "- one-42\n- two-42\n"
    else:
        assert str(found) == expected.removesuffix("\n")
        kind, plain = open_one(format_named(update["before"]), read(update["before"]), path, opener("a.txt"))
        assert plain.decode() == expected.removesuffix("\n")
        assert kind.value == ("int" if name == "extract_int" else "str")


def test_extract_missing() -> None:
    document = of("extract_missing")
    with pytest.raises(NotFound):
        subtree(document, ("nope",))
    with pytest.raises(NotFound):
        open_one(Format.YAML, document.document.source, ("nope",), opener("a.txt"))


def test_extract_badpath() -> None:
    # A path of ours that could be none: a place where there are keys, a key in a list.
    document = of("extract_badpath")
    for path in ((0,), ("list", "x"), ("alpha", "x"), ("list", 2)):
        with pytest.raises(NotFound):
            subtree(document, path)
        with pytest.raises(NotFound):
            open_one(Format.YAML, document.document.source, path, opener("a.txt"))


def test_filestatus() -> None:
    source = read(BY_NAME["filestatus"]["before"])
    assert read_sops(Format.YAML, source).metadata.version == "3.11.0"
    with pytest.raises(RefusedInput):
        read_sops(Format.YAML, plaintext(of("filestatus")))


def test_encrypt_twice() -> None:
    with pytest.raises(RefusedInput):
        new_document(Format.YAML, read(BY_NAME["encrypt_twice"]["before"]), [[A]])


def test_exec_env_exit() -> None:
    update = BY_NAME["exec_env_exit"]
    values = values_at(before(update), ())
    assert values["A",][1].decode() + "\n" == update["stdout"]


def test_exec_file() -> None:
    update = BY_NAME["exec_file"]
    assert data(Format.YAML, plaintext(before(update))) == data(Format.YAML, update["stdout"].encode())


def test_nonexistent(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_file(tmp_path / "nonexistent.yaml", 1000)


def test_a_removed_reader_costs_a_new_data_key() -> None:
    file = read_sops(Format.YAML, read("enc/yaml_two_recipients.yaml"))
    recovered = recover(file.metadata, opener("a.txt"))
    assert change_of(file.metadata, [[B, A]]).needs_new_key is False
    assert rewrap(file, recovered, [[B, A]]) == file.document.source
    result = rewrap(file, recovered, [[A]], clock=clock)
    assert not set(SEALED.findall(file.document.source)) & set(SEALED.findall(result))
    again = open_document(Format.YAML, result, opener("a.txt"))
    assert again.data_key != recovered.data_key
    with pytest.raises(Exception, match="none of the identities"):
        open_document(Format.YAML, result, opener("b.txt"))
    kept = rewrap(file, recovered, [[A]], keep_data_key=True, clock=clock)
    assert open_document(Format.YAML, kept, opener("a.txt")).data_key == recovered.data_key


def test_vector_files_are_used() -> None:
    used = {update["after"] for update in UPDATES}
    assert used >= {str(path.relative_to(VECTORS)) for path in (VECTORS / "enc").glob("upd_*")}
    assert [data_of(node) for node in trees(of("edit_one_value"))]
