"""Where entries are looked for, and that nothing outside of a store is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from passstores import PassStore

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.plugin.api import PluginContext, Source, StoringSource
from secretsmith.testing import sample_context
from secretsmith_pass import gopass_source, pass_source, passage_source
from secretsmith_pass.reference import escaped


def a_context(store: PassStore, **variables: str) -> PluginContext:
    """A fresh repository beside the store."""
    folder = Path(tempfile.mkdtemp(dir=store.home.parent))
    return sample_context(folder, {**store.environ, **variables})


def fetched(store: PassStore, reference: str, **variables: str) -> bytes:
    return pass_source().fetch(reference, a_context(store, **variables)).value.expose()


def refusal(store: PassStore, reference: str, **variables: str) -> SecretsmithError:
    with pytest.raises(SecretsmithError) as refused:
        fetched(store, reference, **variables)
    told = " ".join((refused.value.message, *refused.value.hints))
    assert "hunter2" not in told
    assert "\n" not in told
    return refused.value


@pytest.mark.parametrize(
    "name", ["web/db", "münch en/ö", "two\nlines", "a#b?c", "%41", "-x", "web.gpg", "'q'"]
)
def test_names_of_any_kind(name: str, store: PassStore) -> None:
    # pass itself takes no name that begins with a dash: its file is moved there.
    store.insert("entry", b"hunter2\n")
    store.file(name).parent.mkdir(parents=True, exist_ok=True)
    store.file("entry").rename(store.file(name))
    context = a_context(store)
    source = pass_source()
    assert isinstance(source, StoringSource)
    assert source.references("", context) == [escaped(name)]
    assert source.fetch(escaped(name), context).value.expose() == b"hunter2"


@pytest.mark.parametrize("data", [b"\0\xff", b"hunter2", b"a\n\n"])
def test_all_bytes(data: bytes, store: PassStore) -> None:
    store.insert("bytes", data)
    assert fetched(store, "bytes#*") == data


def test_a_folder_is_no_entry(store: PassStore) -> None:
    store.insert("web/db", b"hunter2\n")
    error = refusal(store, "web")
    assert isinstance(error, NotFound)
    assert error.message == "pass:web: is a folder of the store, and no entry"
    assert error.hints == ("entries in it: web/db",)
    store.insert("web", b"both\n")
    assert fetched(store, "web") == b"both"


def test_a_name_that_is_almost_right(store: PassStore) -> None:
    store.insert("web/db", b"hunter2\n")
    assert refusal(store, "web/dbb").hints == ("did you mean web/db?",)
    assert refusal(store, "db").hints == ("did you mean web/db?",)


def test_a_name_that_no_file_can_have(store: PassStore) -> None:
    store.insert("web/db", b"x")
    error = refusal(store, "x" * 300)
    assert isinstance(error, NotFound)


def test_no_store(store: PassStore, tmp_path: Path) -> None:
    error = refusal(store, "web/db", PASSWORD_STORE_DIR=str(tmp_path / "nowhere"))
    assert isinstance(error, NotFound)
    assert pass_source().digest("web/db", a_context(store, PASSWORD_STORE_DIR="/nowhere")) is None


def test_a_relative_store_would_be_the_repository(store: PassStore) -> None:
    error = refusal(store, "web/db", PASSWORD_STORE_DIR="secrets")
    assert isinstance(error, RefusedInput)


def test_a_store_that_is_a_link(store: PassStore) -> None:
    store.insert("web/db", b"hunter2\n")
    store.folder.rename(store.home / "elsewhere")
    store.folder.symlink_to("elsewhere")
    assert fetched(store, "web/db") == b"hunter2"


def test_links_inside_are_followed_and_none_out_of_the_store(store: PassStore) -> None:
    store.insert("web/db", b"hunter2\n")
    (store.folder / "alias.gpg").symlink_to("web/db.gpg")
    (store.folder / "both").symlink_to("web")
    (store.folder / "round").symlink_to(".")
    outside = store.home / "outside"
    outside.mkdir()
    (outside / "x.gpg").write_bytes(store.file("web/db").read_bytes())
    (store.folder / "out.gpg").symlink_to(outside / "x.gpg")
    (store.folder / "outfolder").symlink_to(outside)
    assert fetched(store, "alias") == b"hunter2"
    assert fetched(store, "both/db") == b"hunter2"
    context = a_context(store)
    source = pass_source()
    assert isinstance(source, StoringSource)
    assert source.references("", context) == ["alias", "web/db"]
    for name in ("out", "outfolder/x"):
        error = refusal(store, name)
        assert error.code is Code.SYMLINK
        assert source.digest(name, context) is None


def test_what_is_no_file(store: PassStore) -> None:
    os.mkfifo(store.file("pipe"))
    assert refusal(store, "pipe").code is Code.NOT_REGULAR


def test_another_store_only_by_the_persons_own_name_for_it(store: PassStore, tmp_path: Path) -> None:
    store.insert("web/db", b"hunter2\n")
    store.run("init", "alice@example.org", PASSWORD_STORE_DIR=str(tmp_path / "work"))
    store.run("insert", "-m", "web/db", data=b"at work\n", PASSWORD_STORE_DIR=str(tmp_path / "work"))
    error = refusal(store, "web/db?store=work")
    assert isinstance(error, NotFound)
    assert "stores that are: none" in error.hints[0]
    config = store.home / ".config" / "secretsmith"
    config.mkdir(parents=True)
    (config / "stores.toml").write_text(f'[pass]\nwork = "{tmp_path}/work"\nold = "~/.password-store"\n')
    assert fetched(store, "web/db?store=work") == b"at work"
    assert fetched(store, "web/db?store=old") == b"hunter2"
    assert refusal(store, "web/db?store=w").hints[0] == "stores that are: old, work"
    source = pass_source()
    assert isinstance(source, StoringSource)
    context = a_context(store)
    assert source.references("web/?store=work", context) == ["web/db?store=work"]
    (config / "stores.toml").write_text("[pass]\nwork = 1\n")
    assert isinstance(refusal(store, "web/db?store=work"), RefusedInput)


def test_a_relative_configuration_would_be_the_repositorys(store: PassStore, tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    config = folder / "config" / "secretsmith"
    config.mkdir(parents=True)
    (config / "stores.toml").write_text(f'[pass]\nwork = "{store.folder}"\n')
    context = sample_context(folder, {**store.environ, "XDG_CONFIG_HOME": "config"})
    store.insert("web/db", b"hunter2\n")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert pass_source().digest("web/db?store=work", context) is None
    finally:
        os.chdir(before)


def test_entries_of_gopass_for_gpg(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "x.gpg").write_bytes(b"x")
    context = sample_context(
        _made(tmp_path / "r"), {"HOME": str(tmp_path), "PASSWORD_STORE_DIR": str(tmp_path / "store")}
    )
    with pytest.raises(NotFound) as refused:
        gopass_source().fetch("x", context)
    assert "pass:x?store=NAME" in refused.value.hints[0]


def test_gopass_mounts(tmp_path: Path) -> None:
    for name in ("root", "team"):
        (tmp_path / name / "web").mkdir(parents=True)
        (tmp_path / name / "web" / "db.age").write_bytes(name.encode())
    config = _made(tmp_path / "gopass")
    (config / "config").write_text(
        f'[core]\n\tpath = /nowhere\n[mounts]\n\tpath = {tmp_path}/root\n[mounts "team"]\n\tpath = {tmp_path}/team\n'
    )
    context = sample_context(
        _made(tmp_path / "repository"), {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    )
    source = gopass_source()
    digests = {source.digest(text, context) for text in ("web/db", "web/db?store=team")}
    assert len(digests) == 2
    assert None not in digests
    assert source.digest("web/db?store=other", context) is None


@pytest.mark.parametrize(
    ("make", "environ", "place"),
    [
        (pass_source, {}, ".password-store/a.gpg"),
        (pass_source, {"PASSWORD_STORE_DIR": "{home}/x"}, "x/a.gpg"),
        (passage_source, {}, ".passage/store/a.age"),
        (passage_source, {"PASSAGE_DIR": "{home}/x"}, "x/a.age"),
        (gopass_source, {}, ".local/share/gopass/stores/root/a.age"),
        (gopass_source, {"XDG_DATA_HOME": "{home}/x"}, "x/gopass/stores/root/a.age"),
        (gopass_source, {"GOPASS_HOMEDIR": "{home}/x"}, "x/.local/share/gopass/stores/root/a.age"),
    ],
)
def test_default_places(make: type[Source], environ: Mapping[str, str], place: str, tmp_path: Path) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_bytes(b"x")
    given = {name: value.format(home=tmp_path) for name, value in environ.items()}
    context: PluginContext = sample_context(_made(tmp_path / "repository"), {"HOME": str(tmp_path), **given})
    assert make().digest("a", context) is not None


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
