"""The host's side, killed before each thing that it does to the disk: the link leads to all of the old tree or all of the new one."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from secretsmith.operations.deploy.remote import channel, trees, venvs
from secretsmith.operations.deploy.remote.channel import Channel
from secretsmith.operations.deploy.remote.folders import locked
from secretsmith.operations.deploy.remote.main import Host, Places

CALLS = ("mkdir", "symlink", "rename", "unlink", "rmdir", "write", "fsync", "fchmod")
NAME = "1.2.3-0a1b2c3d"
WHEELS = [("a-1-py3-none-any.whl", b"wheel")]
_ACTIVATE = '#!/bin/sh\ncase "$1" in --version) echo secretsmith 1.2.3;; --write-units) echo "next: enable --now x";; esac\n'
# Plays python3: makes an environment of itself, and installs a program into it.
_PYTHON = """\
#!/bin/sh
for last; do :; done
case "$*" in
  *importlib*broken*) echo no module named broken >&2; exit 1;;
  *secretsmith.cli*) exec "${{0%/*}}/secretsmith-activate" "$last";;
  *venv*--without-pip*|*"-m venv"*) mkdir -p "$last/bin"; cp "$0" "$last/bin/python3";;
  *install*) printf '%s' '{activate}' > "${{0%/*}}/secretsmith-activate"; chmod 755 "${{0%/*}}/secretsmith-activate";;
esac
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    for name in ("var", "units", "systemd", "bin", "programs", "opt"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin/systemctl").write_text("#!/bin/sh\n")
    (tmp_path / "programs/secretsmith-activate").write_text(_ACTIVATE)
    (tmp_path / "python").write_text(_PYTHON.format(activate=_ACTIVATE))
    for name in ("bin/systemctl", "programs/secretsmith-activate", "python"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setitem(channel.ENVIRONMENT, "PATH", f"{tmp_path}/bin:{os.defpath}")
    monkeypatch.setattr(venvs, "PROGRAMS", str(tmp_path / "programs"))
    return Places(*(str(tmp_path / name) for name in ("var/base", "opt/secretsmith", "units", "systemd")))


def serve(places: Places, order: dict[str, Any], files: dict[str, bytes]) -> list[dict[str, Any]]:
    """Give the host one order; return its answers."""
    listed = [[path, len(data)] for path, data in files.items()]
    line = json.dumps({**order, "files": listed}).encode() + b"\n"
    answers = io.BytesIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    try:
        Host(Channel(io.BytesIO(line + b"".join(files.values())), answers), places).serve()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return [json.loads(text) for text in answers.getvalue().splitlines() if text]


def contents(number: int) -> dict[str, bytes]:
    return {"manifest.json": b"%d" % number, "files/a/b.age": b"b%d" % number, "files/c.age": b"c%d" % number}


def deploy(places: Places, value: int) -> list[dict[str, Any]]:
    current, following = trees.glance(places.base)
    return serve(places, {"do": "deploy", "tree": following, "seen": current}, contents(value))


def deployed(places: Places) -> int:
    """Return which contents the link leads to; all of them have to be there."""
    tree = Path(places.base, "current")
    value = int((tree / "manifest.json").read_bytes())
    found = {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    assert {name: data for name, data in found.items() if name != "previous"} == contents(value)
    return value


def killed(work: Callable[[], object], at: int) -> bool:
    """Do ``work`` in a process that is killed before its call number ``at``; say whether that came."""
    child = os.fork()
    if child == 0:
        left = [at]

        def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*given: Any, **more: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*given, **more)

            return call

        for name in CALLS:
            setattr(os, name, wrap(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def points(work: Callable[[], object]) -> Iterator[int]:
    at = 1
    while killed(work, at):
        yield at
        at += 1
    assert at > 10, "nothing was killed"


def test_a_killed_deploy_leaves_the_old_or_the_new_tree(places: Places) -> None:
    assert deploy(places, 1)[-1] == {"is": "done", "exit": 0}
    value, turned = 1, set()
    for _ in points(lambda: deploy(places, deployed(places) + 1)):
        assert deployed(places) in (value, value + 1)
        turned.add(deployed(places) - value)
        # And the next one mends all of it.
        value = deployed(places) + 1
        assert deploy(places, value)[-1]["is"] == "done"
        assert deployed(places) == value
        assert len(os.listdir(f"{places.base}/trees")) == 2
    assert turned == {0, 1}, "killed both before and after the link was turned"


def test_a_killed_rollback_leaves_the_old_or_the_new_tree(places: Places) -> None:
    for value in (1, 2):
        deploy(places, value)
    for _ in points(lambda: serve(places, {"do": "rollback", "seen": trees.glance(places.base)[0]}, {})):
        assert deployed(places) in (1, 2)
        for value in (1, 2):
            assert deploy(places, value)[-1]["is"] == "done"


def test_a_first_deploy_that_is_killed_leaves_nothing_in_use(places: Places) -> None:
    assert killed(lambda: deploy(places, 1), 12)
    assert not os.path.lexists(f"{places.base}/current")
    assert deploy(places, 2)[-1]["is"] == "done" and deployed(places) == 2
    assert len(os.listdir(f"{places.base}/trees")) == 1


def test_a_connection_that_breaks_in_the_middle_leaves_nothing(places: Places) -> None:
    order = {"do": "deploy", "tree": 1, "seen": None, "files": [["manifest.json", 9]]}
    answers = io.BytesIO()
    Host(Channel(io.BytesIO(json.dumps(order).encode() + b"\nhalf"), answers), places).serve()
    assert b"nothing was changed" in answers.getvalue() and not os.path.exists(places.base)


def test_who_deploys_after_somebody_else_is_told(places: Places) -> None:
    order = {"do": "deploy", "tree": 1, "seen": None}
    assert serve(places, order, contents(1))[-1]["is"] == "done"
    assert serve(places, order, contents(2))[-1]["code"] == "E_LOCKED"
    assert deployed(places) == 1


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a//b", "a/./b", ""])
def test_paths_that_lead_elsewhere(places: Places, path: str) -> None:
    (refused,) = [
        a
        for a in serve(places, {"do": "deploy", "tree": 1, "seen": None}, {path: b""})
        if a["is"] == "refused"
    ]
    assert refused["code"] == "E_PATH_UNSAFE" and not os.path.exists(places.base)


def bootstrap(places: Places, name: str = NAME, version: str = "1.2.3") -> None:
    python = str(Path(places.base).parents[1] / "python")
    venvs.bootstrap(name, version, WHEELS, python=python, venvs=places.venvs)


def test_a_killed_bootstrap_leaves_the_old_or_the_new_environment(places: Places) -> None:
    Path(places.venvs, "lib").mkdir(parents=True)  # an administrator's own environment
    bootstrap(places)
    link = Path(places.venvs, "current")
    old, number = NAME, 0

    def upgrade() -> None:
        bootstrap(places, f"1.2.3-{number:08x}")

    at = 1
    while killed(upgrade, at):
        assert link.readlink().name in (old, f"1.2.3-{number:08x}")
        assert venvs.version_of(f"{link}/bin/secretsmith-activate") == "1.2.3"
        upgrade()
        old, number, at = link.readlink().name, number + 1, at + 1
    assert at > 8
    left = {name for name in os.listdir(places.venvs) if name not in ("current", "lib")}
    assert len(left) <= 2 and link.readlink().name in left and Path(places.venvs, "lib").is_dir()


def test_an_environment_that_is_there_is_not_made_again(places: Places) -> None:
    bootstrap(places)
    (Path(places.base).parents[1] / "python").unlink()
    bootstrap(places)
    assert venvs.whole_venvs(places.venvs) == [NAME]


def test_a_program_of_another_version_is_not_taken(places: Places) -> None:
    bootstrap(places)
    with pytest.raises(channel.Refused, match=r"not 9\.9"):
        bootstrap(places, "9.9-00000000", "9.9")
    assert Path(places.venvs, "current").readlink().name == NAME
    with pytest.raises(channel.Refused, match="no name"):
        bootstrap(places, "../../x-00000000")


def test_what_does_not_load_does_not_take_the_place_of_what_works(places: Places) -> None:
    bootstrap(places)
    python = str(Path(places.base).parents[1] / "python")
    with pytest.raises(channel.Refused, match="does not load there: no module named broken"):
        venvs.bootstrap("1.2.3-00000001", "1.2.3", WHEELS, ["broken"], python=python, venvs=places.venvs)
    assert venvs.whole_venvs(places.venvs) == [NAME] == [Path(places.venvs, "current").readlink().name]


def test_a_place_that_others_can_exchange_is_not_used(places: Places, tmp_path: Path) -> None:
    (tmp_path / "opt/link").symlink_to(tmp_path / "var")
    bootstrap(places)
    assert venvs.find_program(places.venvs) == f"{places.venvs}/current/bin/secretsmith-activate"
    tmp_path.chmod(0o777)
    assert venvs.find_program(places.venvs) == str(tmp_path / "programs/secretsmith-activate")
    assert [answer["code"] for answer in deploy(places, 1) if answer["is"] == "refused"] == ["E_PATH_UNSAFE"]
    with pytest.raises(channel.Refused, match="can be written by others"):
        bootstrap(places)
    with (
        pytest.raises(channel.Refused, match=f"^{tmp_path} can be written by others"),
        trees.held_trees(str(tmp_path / "opt/link/base")),
    ):
        pass


def test_a_rollback_does_not_take_back_what_somebody_has_just_deployed(places: Places) -> None:
    for value in (1, 2, 3):
        deploy(places, value)
    assert serve(places, {"do": "rollback", "seen": 2}, {})[-1]["code"] == "E_LOCKED"
    assert serve(places, {"do": "again", "seen": 2}, {})[-1]["code"] == "E_LOCKED"
    assert deployed(places) == 3


def test_a_folder_that_the_other_deploy_has_just_removed_is_not_held(places: Places) -> None:
    Path(places.base).mkdir()
    folder = os.open(places.base, os.O_RDONLY)
    Path(places.base).rmdir()
    with pytest.raises(channel.Refused) as caught, locked(folder, places.base):
        pass
    os.close(folder)
    assert caught.value.code == "E_LOCKED"


def test_a_program_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "_SECONDS", 0.2)
    assert channel.run(["sleep", "60"]) == (124, "", "sleep did not end in 0.2 s\n")


def test_python_without_venv_is_told(places: Places) -> None:
    (Path(places.base).parents[1] / "python").write_text("#!/bin/sh\necho no ensurepip >&2; exit 1\n")
    with pytest.raises(channel.Refused, match="no ensurepip") as caught:
        bootstrap(places)
    assert "apt install python3-venv" in caught.value.hints[0]
    assert os.listdir(places.venvs) == []
