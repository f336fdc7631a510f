"""``decrypt`` opens whatever sops and age have made, and says why when it does not."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from fleet import Fleet, make_fleet
from sopsvectors import CASES, VECTORS, key_file, read
from unmanaged import CLEAR, SSH, A, B, Place

from secretsmith.documents.format import Format
from secretsmith.documents.sopsnew import new_document
from secretsmith.errors import CannotDecrypt, Code, Conflict, ExitCode, IntegrityFailure, RefusedInput
from secretsmith.identities.ring import IdentityRing
from secretsmith.interaction import NoInteraction
from secretsmith.operations.decryption import (
    Reading,
    decrypt_data,
    decrypt_file,
    decrypt_secret,
    write_clear,
    write_clear_secret,
)
from secretsmith.operations.encryption import Wishes, replace_managed
from secretsmith.operations.readers import read_sealed
from secretsmith.sensitive import Sensitive

DOCUMENT = "secrets/web/app.yaml"


@pytest.fixture
def place(tmp_path: Path, peer: Callable[[str], str]) -> Place:
    return Place(tmp_path, peer("sops"))


def plain_cases() -> list[Any]:
    found = [case for case in CASES if case.get("encrypted") and case["expect_exit"] == 0]
    return [pytest.param(case, id=case["name"]) for case in found]


@pytest.mark.parametrize("case", plain_cases())
def test_everything_that_sops_opens(case: Mapping[str, Any]) -> None:
    paths = [key_file(name) for name in case["identity"]["env"].values()]
    ring = IdentityRing.of_files(paths, NoInteraction())
    how = Reading(case["format"], "json", "--ignore-mac" in case["decrypt_args"])
    name = Path(case["encrypted"]).name
    if not case.get("expect_json_file"):
        found = decrypt_data(
            read(case["encrypted"]), name, ring, Reading(case["format"], None, how.ignore_mac)
        )
        if case["format"] == "binary":
            assert found.clear.expose() == read(case["expect_stdout_file"])
        return
    found = decrypt_data(read(case["encrypted"]), name, ring, how)
    assert json.loads(found.clear.expose()) == json.loads(read(case["expect_json_file"]))


@pytest.mark.parametrize("name", CLEAR)
def test_each_format_from_a_file_and_from_a_pipe(place: Place, name: str) -> None:
    path = place.sealed(name, "--age", f"{B},{A}")
    found = decrypt_file(path, name, place.ring(), Reading())
    assert b"hunter2" in found.clear.expose()
    assert b"ENC[" not in found.clear.expose()
    piped = decrypt_data(path.read_bytes(), "-", place.ring(), Reading(str(found.format)))
    assert piped.clear == found.clear


def test_age_files_of_any_name(place: Place, peer: Callable[[str], str]) -> None:
    for name, options in (("it.age", ["-a"]), ("it.tar.enc", []), ("it", ["-a"])):
        path = place.folder / name
        subprocess.run([peer("age"), "-r", A, *options, "-o", str(path)], input=b"\x00hunter2", check=True)
        assert decrypt_file(path, name, place.ring(), Reading()).clear.expose() == b"\x00hunter2"
        with pytest.raises(RefusedInput):
            decrypt_file(path, name, place.ring(), Reading(output_type="json"))


def test_another_suffix_wants_its_format(place: Place) -> None:
    data = place.sealed("app.yaml").read_bytes()
    path = place.folder / "app.yaml.enc"
    path.write_bytes(data)
    with pytest.raises(RefusedInput) as refused:
        decrypt_file(path, "app.yaml.enc", place.ring(), Reading())
    assert "--input-type yaml" in "".join(refused.value.hints)
    assert b"hunter2" in decrypt_file(path, "app.yaml.enc", place.ring(), Reading("yaml")).clear.expose()


@pytest.mark.parametrize("output", ["yaml", "json"])
def test_other_formats_as_sops_gives_them(place: Place, output: str) -> None:
    path = place.sealed("app.json")
    theirs = place.run_sops("decrypt", "--output-type", output, "app.json")
    ours = decrypt_file(path, "app.json", place.ring(), Reading(output_type=output)).clear.expose()
    assert ours == theirs if output == "yaml" else json.loads(ours) == json.loads(theirs)


def test_what_a_format_cannot_hold(place: Place) -> None:
    path = place.sealed("app.json")
    with pytest.raises(RefusedInput, match=r"app\.json"):
        decrypt_file(path, "app.json", place.ring(), Reading(output_type="dotenv"))


def test_a_wrong_mac_is_passed_over_only_on_demand(place: Place) -> None:
    path = place.sealed("app.yaml")
    path.write_bytes(path.read_bytes().replace(b"note_unencrypted: open", b"note_unencrypted: shut"))
    with pytest.raises(IntegrityFailure) as refused:
        decrypt_file(path, "app.yaml", place.ring(), Reading())
    assert (refused.value.code, refused.value.exit_code) == (Code.MAC, ExitCode.INTEGRITY)
    found = decrypt_file(path, "app.yaml", place.ring(), Reading(ignore_mac=True))
    assert b"shut" in found.clear.expose()
    assert any("MAC was not checked" in warning for warning in found.warnings)
    assert b"shut" in place.run_sops("decrypt", "--ignore-mac", "app.yaml")


def test_nobody_here_can(place: Place) -> None:
    path = place.sealed("app.yaml", "--age", f"{A},{SSH}")
    with pytest.raises(CannotDecrypt, match=r"app\.yaml") as refused:
        decrypt_file(path, "app.yaml", place.ring("wrong"), Reading())
    hints = "\n".join(refused.value.hints)
    assert refused.value.exit_code == 5
    assert A in hints
    assert "tried: " in hints


def test_a_file_in_clear_is_said_to_be(place: Place) -> None:
    for name, clear in CLEAR.items():
        (place.folder / name).write_bytes(clear)
        with pytest.raises(RefusedInput, match=name):
            decrypt_file(place.folder / name, name, place.ring(), Reading())


def test_in_place_is_for_the_owner_alone(place: Place) -> None:
    path = place.sealed("app.yaml")
    path.chmod(0o644)
    found = decrypt_file(path, "app.yaml", place.ring(), Reading())
    write_clear(path, "app.yaml", found, Reading())
    assert path.read_bytes() == found.clear.expose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in place.folder.iterdir()) == ["app.yaml"]


def test_in_place_keeps_a_narrower_mode(place: Place) -> None:
    path = place.sealed("app.yaml")
    path.chmod(0o400)
    write_clear(path, "app.yaml", decrypt_file(path, "app.yaml", place.ring(), Reading()), Reading())
    assert stat.S_IMODE(path.stat().st_mode) == 0o400


def test_in_place_only_what_was_read_and_as_it_is_named(place: Place) -> None:
    path = place.sealed("app.yaml")
    how = Reading(output_type="json")
    found = decrypt_file(path, "app.yaml", place.ring(), how)
    with pytest.raises(RefusedInput) as refused:
        write_clear(path, "app.yaml", found, how)
    assert "> FILE" in "".join(refused.value.hints)
    path.write_bytes(b"meanwhile: 1\n")
    with pytest.raises(Conflict):
        write_clear(path, "app.yaml", found, Reading())
    assert path.read_bytes() == b"meanwhile: 1\n"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path)
    made.accept_all()
    recipients = [made.key(name).derived for name in ("alice", "web1", "web2")]
    path = made.root / DOCUMENT
    path.parent.mkdir(parents=True)
    path.write_bytes(new_document(Format.YAML, CLEAR["app.yaml"], [recipients]))
    return made


def test_a_secret_of_the_repository(fleet: Fleet) -> None:
    found = decrypt_secret(fleet.project("web1"), DOCUMENT, Reading())
    assert found.clear.expose() == CLEAR["app.yaml"]
    as_json = decrypt_secret(fleet.project("web1"), DOCUMENT, Reading(output_type="json"))
    assert json.loads(as_json.clear.expose())["mail"]["port"] == 25


def test_a_secret_that_is_not_mine_is_explained_with_names(fleet: Fleet, tmp_path: Path) -> None:
    stranger = make_fleet(_folder(tmp_path, "stranger"))
    project = fleet.project()
    environ = {"HOME": str(stranger.home), "SECRETSMITH_IDENTITY": str(stranger.identity("alice"))}
    project.__dict__["ring"] = IdentityRing(environ, NoInteraction(), as_root=False)
    with pytest.raises(CannotDecrypt) as refused:
        decrypt_secret(project, DOCUMENT, Reading())
    assert "it can be read by: alice, web1, web2" in refused.value.hints


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def test_in_place_in_a_repository_and_back(fleet: Fleet) -> None:
    project = fleet.project()
    found = decrypt_secret(project, DOCUMENT, Reading())
    write_clear_secret(project, DOCUMENT, found, Reading())
    path = fleet.root / DOCUMENT
    assert path.read_bytes() == CLEAR["app.yaml"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    replace_managed(fleet.project(), DOCUMENT, Sensitive(CLEAR["app.yaml"]), Wishes())
    sealed = read_sealed(fleet.project(), DOCUMENT)
    assert not sealed.drift
    assert decrypt_secret(fleet.project("web2"), DOCUMENT, Reading()).clear.expose() == CLEAR["app.yaml"]


def test_vectors_are_there() -> None:
    assert len(plain_cases()) > 50
    assert VECTORS.is_dir()
