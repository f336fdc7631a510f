"""``encrypt``: what we encrypt the real sops and age open, for the readers that were meant."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fleet import Fleet, make_fleet
from keys import ed25519_key
from people import Scripted
from sopsvectors import key_file
from unmanaged import CLEAR, SSH, A, B, C, Place

from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import read_document
from secretsmith.errors import Code, Conflict, NotFound, RefusedInput
from secretsmith.operations.decryption import Reading, decrypt_data, decrypt_secret
from secretsmith.operations.encryption import (
    Encrypted,
    Wishes,
    encrypt_managed,
    encrypt_plain,
    managed_target,
    read_clear_file,
    replace_managed,
    replace_plain,
)
from secretsmith.operations.readers import read_sealed
from secretsmith.policy.lock import parse_lock
from secretsmith.sensitive import Sensitive

DOCUMENT = "secrets/web/app.yaml"


@pytest.fixture
def place(tmp_path: Path, peer: Callable[[str], str]) -> Place:
    return Place(tmp_path, peer("sops"))


def sealed(
    place: Place, name: str, clear: bytes, *age: str, environ: dict[str, str] | None = None, **wishes: Any
) -> Encrypted:
    return encrypt_plain(
        Sensitive(clear),
        place.folder / name,
        name,
        Wishes(age=age, **wishes),
        environ=environ or {},
        cwd=place.folder,
    )


def metadata(data: bytes, form: Format = Format.YAML) -> Any:
    return read_document(form, data).metadata


@pytest.mark.parametrize("name", CLEAR)
@pytest.mark.parametrize("readers", [(A,), (A, B, SSH)], ids=["one", "three"])
def test_sops_opens_it(place: Place, name: str, readers: tuple[str, ...]) -> None:
    made = sealed(place, name, CLEAR[name], *readers)
    assert made.readers == readers
    assert b"hunter2" not in made.data
    (place.folder / name).write_bytes(made.data)
    theirs = place.run_sops("decrypt", name)
    (place.folder / name).write_bytes(CLEAR[name])
    place.run_sops("encrypt", "--age", A, "--in-place", name)
    assert place.run_sops("decrypt", name) == theirs
    assert decrypt_data(made.data, name, place.ring(), Reading()).clear.expose() == CLEAR[name]
    groups = metadata(made.data, format_of(name)).groups
    assert [[entry.recipient for entry in group.age] for group in groups] == [list(readers)]


def test_an_age_file(place: Place, peer: Callable[[str], str]) -> None:
    made = sealed(place, "db.age", b"\x00hunter2", A, B)
    assert made.data.startswith(b"-----BEGIN AGE ENCRYPTED FILE-----")
    for key in ("a", "b"):
        found = decrypt_data(made.data, "db.age", place.ring(key), Reading())
        assert found.clear.expose() == b"\x00hunter2"
    done = subprocess.run(
        [peer("age"), "-d", "-i", str(key_file("a.txt"))], input=made.data, capture_output=True, check=True
    )
    assert done.stdout == b"\x00hunter2"


def test_a_pipe_has_the_format_that_is_said(place: Place) -> None:
    made = sealed(place, "-", CLEAR["app.json"], A, input_type="json")
    assert json.loads(made.data)["sops"]["age"][0]["recipient"] == A


CONFIG = f"""
creation_rules:
  - path_regex: ^web/
    shamir_threshold: 2
    key_groups:
      - age: [{A}]
      - age: [{B}]
      - age: [{C}]
    encrypted_regex: ^smtp$
    mac_only_encrypted: true
  - path_regex: ^pgp
    pgp: FBC7B9E2
    age: {A}
  - path_regex: ^empty
  - path_regex: yaml$
    age: {A}
    unencrypted_regex: ^port$
"""


def test_the_rule_of_sops_yaml(place: Place) -> None:
    place.config(CONFIG)
    made = sealed(place, "web/app.yaml", CLEAR["app.yaml"])
    assert made.notes == ("the readers are those of creation rule 1 of .sops.yaml",)
    found = metadata(made.data)
    assert [[entry.recipient for entry in group.age] for group in found.groups] == [[A], [B], [C]]
    assert found.threshold == 2
    assert found.selection == ("encrypted_regex", "^smtp$")
    assert found.mac_only_encrypted
    (place.folder / "x.yaml").write_bytes(made.data)
    assert b"hunter2" in place.run_sops("decrypt", "x.yaml", key="bc")
    assert place.run_sops("decrypt", "x.yaml", key="a", code=128) == b""
    theirs = place.run_sops("decrypt", "--output-type", "json", "x.yaml", key="ab")
    ours = decrypt_data(made.data, "x.yaml", place.ring("ac"), Reading(output_type="json"))
    assert json.loads(ours.clear.expose()) == json.loads(theirs)


def test_age_takes_the_place_of_its_keys_and_flags_that_of_its_rules(place: Place) -> None:
    place.config(CONFIG)
    made = metadata(sealed(place, "web/app.yaml", CLEAR["app.yaml"], C).data)
    assert [[entry.recipient for entry in group.age] for group in made.groups] == [[C]]
    assert (made.shamir_threshold, made.selection, made.mac_only_encrypted) == (
        0,
        ("encrypted_regex", "^smtp$"),
        True,
    )
    wish: dict[str, Any] = {"selection": (("encrypted_suffix", "tp"),)}
    assert metadata(sealed(place, "app.yaml", CLEAR["app.yaml"], **wish).data).selection == (
        "encrypted_suffix",
        "tp",
    )
    by_environment = sealed(place, "app.yaml", CLEAR["app.yaml"], environ={"SOPS_AGE_RECIPIENTS": f"{B},{C}"})
    assert by_environment.readers == (B, C)
    assert metadata(by_environment.data).selection == ("unencrypted_regex", "^port$")
    # What the command line says wins over the environment, as in sops.
    assert sealed(place, "a.yaml", CLEAR["app.yaml"], A, environ={"SOPS_AGE_RECIPIENTS": B}).readers == (A,)


def test_the_configuration_is_looked_for_from_here_upward(place: Place) -> None:
    place.config(f"creation_rules:\n  - path_regex: ^deep/er/\n    age: {A}\n")
    deep = place.folder / "deep/er"
    deep.mkdir(parents=True)

    def made(cwd: Path, target: Path, **environ: str) -> tuple[str, ...]:
        wishes = Wishes()
        clear = Sensitive(CLEAR["app.yaml"])
        return encrypt_plain(clear, target, "app.yaml", wishes, environ=environ, cwd=cwd).readers

    assert made(deep, deep / "app.yaml") == (A,)
    # not from the file upward, as with sops
    outside = place.folder.parent / f"{place.folder.name}-outside"
    outside.mkdir()
    with pytest.raises(RefusedInput):
        made(outside, deep / "app.yaml")
    other = outside / "rules.yaml"
    other.write_text(f"creation_rules:\n  - age: {B}\n")
    assert made(deep, deep / "app.yaml", SOPS_CONFIG=str(other)) == (B,)
    assert made(outside, deep / "app.yaml", SOPS_CONFIG="rules.yaml") == (B,)
    with pytest.raises(NotFound):
        made(deep, deep / "app.yaml", SOPS_CONFIG="nothing.yaml")


def test_what_nobody_could_read_or_we_cannot_write(place: Place) -> None:
    with pytest.raises(RefusedInput) as nobody:
        sealed(place, "app.yaml", CLEAR["app.yaml"])
    assert nobody.value.code is Code.RECIPIENT_MISSING
    hints = "\n".join(nobody.value.hints)
    assert all(way in hints for way in ("--age", ".sops.yaml", "secretsmith init"))
    place.config(CONFIG)
    with pytest.raises(RefusedInput, match=r"PGP FBC7B9E2") as services:
        sealed(place, "pgp.yaml", CLEAR["app.yaml"])
    assert services.value.code is Code.UNSUPPORTED
    assert sealed(place, "pgp.yaml", CLEAR["app.yaml"], B).readers == (B,)
    for name in ("empty.yaml", "app.json"):
        with pytest.raises(RefusedInput, match=r"\.sops\.yaml") as missing:
            sealed(place, name, CLEAR["app.json"])
        assert missing.value.code is Code.RECIPIENT_MISSING
    with pytest.raises(RefusedInput, match="--age") as wrong:
        sealed(place, "app.yaml", CLEAR["app.yaml"], "age1nonsense")
    assert wrong.value.code.startswith("E_KEY")


def test_a_private_key_as_recipient_is_not_repeated(place: Place) -> None:
    key = "AGE-SECRET-KEY-1" + "Q" * 58
    with pytest.raises(RefusedInput) as refused:
        sealed(place, "app.yaml", CLEAR["app.yaml"], key)
    assert key not in " ".join((str(refused.value), *refused.value.hints))


def test_a_configuration_that_is_none_is_named(place: Place) -> None:
    place.config("creation_rules: [\n")
    with pytest.raises(RefusedInput, match=r"^\.sops\.yaml: "):
        sealed(place, "app.yaml", CLEAR["app.yaml"], A)


@pytest.mark.parametrize("name", CLEAR)
def test_encrypted_already(place: Place, name: str) -> None:
    data = place.sealed(name).read_bytes()
    with pytest.raises(RefusedInput, match="encrypted already") as refused:
        sealed(place, name, data, A)
    assert refused.value.exit_code == 2
    with pytest.raises(RefusedInput, match="encrypted already"):
        sealed(place, "it.age", sealed(place, "it.age", b"x", A).data, A)


def test_text_that_only_looks_encrypted(place: Place) -> None:
    clear = b'{"about": {"sops": "ENC[AES256_GCM,data:..."}}\n'
    for name in ("a.json", "a.txt"):
        made = sealed(place, name, clear, A)
        assert decrypt_data(made.data, name, place.ring(), Reading()).clear.expose() == clear


def test_two_selection_rules_and_rules_for_what_is_one_value(place: Place) -> None:
    two = (("encrypted_suffix", "a"), ("encrypted_regex", "b"))
    with pytest.raises(RefusedInput, match="--encrypted-suffix and --encrypted-regex"):
        sealed(place, "app.yaml", CLEAR["app.yaml"], A, selection=two)
    for name in ("a.age", "a.bin"):
        with pytest.raises(RefusedInput, match="one value"):
            sealed(place, name, b"x", A, selection=two[:1])
    with pytest.raises(RefusedInput) as lookahead:
        sealed(place, "app.yaml", CLEAR["app.yaml"], A, selection=(("encrypted_regex", "(?!x)a"),))
    assert lookahead.value.code is Code.RULES


def test_in_place(place: Place) -> None:
    path = place.folder / "app.yaml"
    path.write_bytes(CLEAR["app.yaml"])
    path.chmod(0o640)
    clear = read_clear_file(path)
    made = sealed(place, "app.yaml", clear.expose(), A)
    assert not replace_plain(path, "app.yaml", clear, made).notes
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert b"hunter2" in place.run_sops("decrypt", "app.yaml")
    path.write_bytes(b"other: 1\n")
    with pytest.raises(Conflict):
        replace_plain(path, "app.yaml", clear, made)
    assert path.read_bytes() == b"other: 1\n"


def test_git_remembers_the_text_in_clear(place: Place, peer: Callable[[str], str]) -> None:
    path = place.folder / "app.yaml"
    path.write_bytes(CLEAR["app.yaml"])
    for words in (("init", "-q"), ("add", "app.yaml")):
        subprocess.run([peer("git"), *words], cwd=place.folder, check=True)
    clear = read_clear_file(path)
    (note,) = replace_plain(path, "app.yaml", clear, sealed(place, "app.yaml", clear.expose(), A)).notes
    assert "history" in note


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path)
    made.accept_all()
    return made


def clear_in(fleet: Fleet, path: str, clear: bytes = CLEAR["app.yaml"]) -> Sensitive:
    target = fleet.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(clear)
    return Sensitive(clear)


@pytest.mark.parametrize(
    "path", [DOCUMENT, "secrets/web/app.json", "secrets/web/app.env", "secrets/web/db.age"]
)
def test_in_a_repository_the_rules_say_who_reads(fleet: Fleet, path: str) -> None:
    text = CLEAR.get(path.rpartition("/")[2], b"hunter2")
    clear = clear_in(fleet, path, text)
    # Neither the environment nor .sops.yaml change that.
    (fleet.root / ".sops.yaml").write_text(f"creation_rules:\n  - age: {A}\n")
    made = replace_managed(fleet.project(), path, clear, Wishes())
    assert made.readers == ("alice", "web1", "web2")
    sealed_file = read_sealed(fleet.project(), path)
    assert not sealed_file.drift
    assert sealed_file.present.basis in ("file", "lock")
    entry = parse_lock((fleet.root / "secretsmith.lock").read_text()).files[path]
    assert (entry.sha256, entry.basis) == (sealed_file.digest, "wrote")
    assert {*entry.recipients} == {fleet.key(name).fingerprint for name in ("alice", "web1", "web2")}
    assert decrypt_secret(fleet.project("web2"), path, Reading()).clear.expose() == text


def test_to_standard_output_nothing_is_written(fleet: Fleet) -> None:
    clear = clear_in(fleet, DOCUMENT)
    before = sorted(path.name for path in fleet.root.iterdir())
    made = encrypt_managed(fleet.project(), DOCUMENT, clear, Wishes())
    assert (fleet.root / DOCUMENT).read_bytes() == clear.expose()
    assert sorted(path.name for path in fleet.root.iterdir()) == before
    recipients = {entry.recipient for entry in metadata(made.data).groups[0].age}
    assert recipients == {fleet.key(name).derived for name in ("alice", "web1", "web2")}


def test_the_options_of_the_rules(fleet: Fleet, place: Place) -> None:
    fleet.extra = (
        '[[rules]]\npath = "secrets/split/**"\nreaders = ["web1", "web2"]\nkey_groups = [["web1"], ["web2"]]\n'
        'shamir_threshold = 2\nencrypted_regex = "^smtp$"\nmac_only_encrypted = true\n'
    )
    fleet.write()
    path = "secrets/split/app.yaml"
    clear = clear_in(fleet, path)
    replace_managed(fleet.project(), path, clear, Wishes())
    found = metadata((fleet.root / path).read_bytes())
    keys = [{entry.recipient for entry in group.age} for group in found.groups]
    alice = fleet.key("alice").derived
    assert keys == [{alice, fleet.key("web1").derived}, {alice, fleet.key("web2").derived}]
    assert (found.threshold, found.selection, found.mac_only_encrypted) == (
        2,
        ("encrypted_regex", "^smtp$"),
        True,
    )
    assert parse_lock((fleet.root / "secretsmith.lock").read_text()).files[path].recipients == ()
    assert decrypt_secret(fleet.project("alice"), path, Reading()).clear.expose() == clear.expose()
    other = Wishes(selection=(("encrypted_suffix", "tp"),))
    assert metadata(encrypt_managed(fleet.project(), path, clear, other).data).selection == (
        "encrypted_suffix",
        "tp",
    )


def test_other_readers_than_the_rules_say_are_refused(fleet: Fleet) -> None:
    clear = clear_in(fleet, DOCUMENT)
    with pytest.raises(RefusedInput, match="alice, web1, web2") as refused:
        replace_managed(fleet.project(), DOCUMENT, clear, Wishes(age=(A,)))
    assert refused.value.code is Code.USAGE
    assert (fleet.root / DOCUMENT).read_bytes() == clear.expose()
    same = tuple(fleet.key(name).derived for name in ("alice", "web1", "web2"))
    assert encrypt_managed(fleet.project(), DOCUMENT, clear, Wishes(age=same)).readers


def test_a_key_that_nobody_accepted(fleet: Fleet) -> None:
    fleet.hosts["web3"] = ed25519_key("root@web3")
    fleet.rules["secrets/web/**"] = ("web1", "web3")
    fleet.write()
    clear = clear_in(fleet, DOCUMENT)
    for write in (encrypt_managed, replace_managed):
        with pytest.raises(RefusedInput) as refused:
            write(fleet.project(), DOCUMENT, clear, Wishes())
        assert refused.value.code is Code.KEY_ACCEPT
    person = Scripted([True])
    replace_managed(fleet.project(interaction=person), DOCUMENT, clear, Wishes())
    assert len(person.asked) == 1
    assert not read_sealed(fleet.project(), DOCUMENT).drift


def test_the_name_must_say_the_format_in_a_repository(fleet: Fleet) -> None:
    clear = clear_in(fleet, DOCUMENT)
    with pytest.raises(RefusedInput, match="by its name"):
        replace_managed(fleet.project(), DOCUMENT, clear, Wishes(input_type="binary"))


def test_a_file_that_changed_meanwhile(fleet: Fleet) -> None:
    clear_in(fleet, DOCUMENT, b"other: 1\n")
    with pytest.raises(Conflict):
        replace_managed(fleet.project(), DOCUMENT, Sensitive(CLEAR["app.yaml"]), Wishes())
    assert (fleet.root / DOCUMENT).read_bytes() == b"other: 1\n"


def test_which_files_are_managed(fleet: Fleet, tmp_path: Path) -> None:
    project = fleet.project()
    assert managed_target(project, fleet.root / DOCUMENT) == DOCUMENT
    assert managed_target(project, fleet.root / "web/../secrets/web/new.env") == "secrets/web/new.env"
    assert managed_target(project, fleet.root / "notes.yaml") is None
    assert managed_target(project, tmp_path / "secrets/web/app.yaml") is None


def test_what_git_never_saw_is_not_said_to_be_in_its_history(
    fleet: Fleet, peer: Callable[[str], str]
) -> None:
    subprocess.run([peer("git"), "init", "-q"], cwd=fleet.root, check=True)
    clear = clear_in(fleet, DOCUMENT)
    made = replace_managed(fleet.project(), DOCUMENT, clear, Wishes(accept=("all",)))
    assert not any("history" in note for note in made.notes)
