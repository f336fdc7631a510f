"""The extension, sourced by the real pass; what it is given arrives, and what pass changed is taken back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from passstores import PassStore
from repositories import Fleet

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.operations.passextension import EXTENSION, install_extension

ON = {"PASSWORD_STORE_ENABLE_EXTENSIONS": "true"}


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """A program ``secretsmith`` that tells how it was called, and ends with 7."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "secretsmith"
    program.write_text(
        '#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done; umask; '
        'echo "${GIT_CEILING_DIRECTORIES-none} ${GPG_TTY-none} $PASSWORD_STORE_DIR"; exit 7\n'
    )
    program.chmod(0o755)
    return folder


def call(store: PassStore, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**store.environ, **ON, "PATH": f"{folder}:{store.environ['PATH']}"}
    return subprocess.run(
        [store.program, "secretsmith", *words],
        env=environ,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (
            ("link", "web/my db#*", "web/db", "--to", "a,b"),
            ["link", "pass:web/my db#*", "web/db", "--to", "a,b"],
        ),
        (("sync",), ["sync"]),
        (("sync", "web x", ""), ["sync", "web x", ""]),
        (("status", "--json"), ["sync", "--plan", "--json"]),
    ],
)
def test_words_arrive(
    words: tuple[str, ...], given: list[str], pass_store: PassStore, recorder: Path
) -> None:
    install_extension({**pass_store.environ, **ON})
    done = call(pass_store, recorder, *words)
    lines = done.stdout.splitlines()
    assert lines[:-2] == [f"<{word}>" for word in given]
    assert lines[-2:] == ["0022", f"none none {pass_store.folder}"]
    assert done.returncode == 7


@pytest.mark.parametrize("words", [(), ("link",), ("link", "web/db"), ("link", "--to", "x"), ("nope",)])
def test_wrong_words_show_how(words: tuple[str, ...], pass_store: PassStore, recorder: Path) -> None:
    install_extension(pass_store.environ)
    done = call(pass_store, recorder, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pass secretsmith link NAME SECRET" in done.stderr
    assert call(pass_store, recorder, "--help").returncode == 0


def test_what_keeps_pass_from_running_it_is_told(pass_store: PassStore) -> None:
    first = install_extension(pass_store.environ)
    assert first.written
    assert first.path == pass_store.folder / ".extensions" / "secretsmith.bash"
    assert first.path.stat().st_mode & 0o777 == 0o755
    assert "PASSWORD_STORE_ENABLE_EXTENSIONS=true" in first.hints[0]
    again = install_extension({**pass_store.environ, **ON, "PASSWORD_STORE_SIGNING_KEY": "X"})
    assert not again.written
    assert again.hints == (f"it runs only when signed: gpg --detach-sign {first.path}",)
    first.path.chmod(0o644)
    assert install_extension({**pass_store.environ, **ON}).written
    assert first.path.stat().st_mode & 0o777 == 0o755


def test_another_extension_of_this_name_stays(pass_store: PassStore) -> None:
    place = pass_store.folder / ".extensions" / "secretsmith.bash"
    place.parent.mkdir()
    place.write_text("echo mine\n")
    with pytest.raises(RefusedInput) as refused:
        install_extension(pass_store.environ)
    assert refused.value.code is Code.EXISTS
    assert place.read_text() == "echo mine\n"
    install_extension(pass_store.environ, force=True)
    assert place.read_text() == EXTENSION
    # An older one of ours needs no --force.
    place.write_text(EXTENSION + "# older\n")
    assert install_extension(pass_store.environ).written


def test_places(pass_store: PassStore, tmp_path: Path) -> None:
    given = {**pass_store.environ, "PASSWORD_STORE_EXTENSIONS_DIR": str(tmp_path / "e")}
    assert install_extension(given).path == tmp_path / "e" / "secretsmith.bash"
    with pytest.raises(NotFound):
        install_extension({**given, "PASSWORD_STORE_DIR": str(tmp_path / "nowhere")})
    with pytest.raises(RefusedInput):
        install_extension({**given, "PASSWORD_STORE_EXTENSIONS_DIR": "e"})
    (tmp_path / "home" / ".passage" / "store").mkdir(parents=True)
    made = install_extension({"HOME": str(tmp_path / "home")}, passage=True)
    assert made.path == tmp_path / "home" / ".passage" / "extensions" / "secretsmith.bash"


def test_for_all_users_where_the_installed_pass_looks(pass_store: PassStore, tmp_path: Path) -> None:
    """A pass whose folder is another one, as distributions patch it; that one needs no setting."""
    program = tmp_path / "patched" / "pass"
    program.parent.mkdir()
    text = Path(pass_store.program).read_text()
    assert 'SYSTEM_EXTENSION_DIR="/usr/lib' in text
    program.write_text(text.replace("/usr/lib/password-store/extensions", str(tmp_path / "all")))
    program.chmod(0o755)
    path = f"{program.parent}:{pass_store.environ['PATH']}"
    done = install_extension({**pass_store.environ, "PATH": path}, system=True)
    assert (done.path, done.hints) == (tmp_path / "all" / "secretsmith.bash", ())
    assert done.path.parent.stat().st_mode & 0o777 == 0o755
    shown = subprocess.run(
        [program, "secretsmith", "--help"], env=pass_store.environ, capture_output=True, check=False
    )
    assert b"pass secretsmith sync" in shown.stdout
    with pytest.raises(NotFound):
        install_extension({**pass_store.environ, "PATH": str(tmp_path)}, system=True)
    with pytest.raises(RefusedInput):
        install_extension(pass_store.environ, system=True, passage=True)


def test_the_command(fleet: Fleet, pass_store: PassStore) -> None:
    done = fleet.run("plugins", "install-pass-extension")
    assert b"wrote " in done.stderr
    assert b"PASSWORD_STORE_ENABLE_EXTENSIONS=true" in done.stderr
    assert b"is there already" in fleet.run("plugins", "install-pass-extension", extra=ON).stderr
