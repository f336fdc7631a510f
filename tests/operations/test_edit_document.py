"""``edit`` on sops documents: clear text in memory, small changes back, and nothing that was typed is lost."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from terminals import OnTerminal
from writtendocs import ALL, BINARY, CANARY, TEXTS, DocFleet, changed_lines, make_doc_fleet, password_of

from secretsmith.documents.format import Format
from secretsmith.documents.seal import evidence
from secretsmith.documents.sopsnew import new_document
from secretsmith.policy import edit

OLD = CANARY
NEW = b"new-canary-%d" % os.getpid()


@pytest.fixture
def fleet(tmp_path: Path, peer: Callable[[str], str]) -> DocFleet:
    return make_doc_fleet(tmp_path, peer("sops"), peer("age-keygen"))


def script(fleet: DocFleet, code: str) -> str:
    """An editor in Python: ``file`` is the path it is given; it notes the path in ``where``, and each run in ``runs``."""
    path = fleet.folder / "editor with space.py"
    path.write_text(
        "import os, sys\nfrom pathlib import Path\nfile = Path(sys.argv[-1])\n"
        f"Path({str(fleet.folder / 'where')!r}).write_text(str(file))\n"
        f"runs = Path({str(fleet.folder / 'runs')!r})\n"
        f"run = len(runs.read_text()) if runs.exists() else 0\nruns.write_text('x' * (run + 1))\n{code}\n"
    )
    return shlex.join([sys.executable, str(path)])


def runs(fleet: DocFleet) -> int:
    path = fleet.folder / "runs"
    return len(path.read_text()) if path.exists() else 0


def nothing_left(fleet: DocFleet) -> None:
    assert not Path((fleet.folder / "where").read_text()).parent.exists()
    held = fleet.holds(OLD) + fleet.holds(NEW)
    assert [path for path in held if not path.endswith((" with space.py", "/private/clear"))] == []


REPLACE = f"file.write_bytes(file.read_bytes().replace({OLD!r}, {NEW!r}))"


@pytest.mark.parametrize("name", list(ALL))
def test_one_value_changes_its_line_and_the_stamp(fleet: DocFleet, name: str) -> None:
    before = fleet.make(name, ALL[name])
    look = f"assert file.name == {name!r} and file.read_bytes() == {ALL[name]!r}, file.read_bytes()\n"
    said = fleet.run("edit", f"secrets/{name}", EDITOR=script(fleet, look + REPLACE)).stderr
    assert f"wrote secrets/{name}, readable by alice, carol as before".encode() in said
    lines = changed_lines(before, fleet.document(name))
    assert len(lines) == 1
    assert b"password" in lines[0].lower()
    assert fleet.sops_value(name, password_of(name)) == NEW
    assert fleet.run("show", f"secrets/{name}").stdout == ALL[name].replace(OLD, NEW)
    nothing_left(fleet)


def test_a_binary_document_is_one_value(fleet: DocFleet) -> None:
    before = fleet.make("blob.bin", BINARY)
    look = f"assert file.name == 'blob.bin' and file.read_bytes() == {BINARY!r}\n"
    fleet.run("edit", "secrets/blob.bin", EDITOR=script(fleet, look + REPLACE))
    assert len(changed_lines(before, fleet.document("blob.bin"))) == 1
    assert fleet.sops("decrypt", "secrets/blob.bin") == BINARY.replace(OLD, NEW)
    nothing_left(fleet)


@pytest.mark.parametrize("name", list(TEXTS))
def test_unchanged_text_writes_nothing(fleet: DocFleet, name: str) -> None:
    fleet.make(name, TEXTS[name])
    files = fleet.files()
    said = fleet.run("edit", f"secrets/{name}", EDITOR=script(fleet, "")).stderr
    assert b"unchanged, nothing was written" in said
    assert fleet.files() == files
    nothing_left(fleet)


class TestNewDocument:
    def test_starts_empty_and_ends_as_typed(self, fleet: DocFleet) -> None:
        text = b"# why\na:   " + NEW + b" # c\n"
        code = f"assert file.read_bytes() == b''\nfile.write_bytes({text!r})"
        said = fleet.run("edit", "app.yaml", EDITOR=script(fleet, code)).stderr
        assert b"wrote secrets/app.yaml (new), readable by alice, carol" in said
        assert fleet.run("show", "app.yaml").stdout == text
        assert fleet.sops_value("app.yaml", "a") == NEW
        nothing_left(fleet)

    @pytest.mark.parametrize("typed", [b"", b"\n", b" \n\n"])
    def test_left_empty_writes_nothing(self, fleet: DocFleet, typed: bytes) -> None:
        files = fleet.files()
        fleet.run("edit", "app.yaml", EDITOR=script(fleet, f"file.write_bytes({typed!r})"))
        assert fleet.files() == files

    def test_to_writes_a_rule(self, fleet: DocFleet) -> None:
        fleet.change_registry(lambda text: edit.revoke(text, ["secrets/**"], ["carol"]))
        editor = script(fleet, 'file.write_bytes(b\'{"a": "x"}\')')
        fleet.run("edit", "mail.json", "--to", "carol", EDITOR=editor)
        assert fleet.sops_value("mail.json", "a") == b"x"


class TestTextThatCannotBeRead:
    BAD = f"file.write_bytes(file.read_bytes().replace({OLD!r}, {NEW!r}) + b'a: [1\\n')"

    def test_without_a_terminal_it_is_kept_encrypted(self, fleet: DocFleet) -> None:
        before = fleet.make("app.yaml", TEXTS["app.yaml"])
        said = fleet.run("edit", "app.yaml", EDITOR=script(fleet, self.BAD), code=2).stderr
        assert b"line " in said
        assert b"kept, encrypted to you and the admins, in secrets/app.yaml.rej.age" in said
        assert NEW not in said
        assert fleet.document("app.yaml") == before
        kept = fleet.run("show", "secrets/app.yaml.rej.age").stdout
        assert kept == TEXTS["app.yaml"].replace(OLD, NEW) + b"a: [1\n"
        assert fleet.readers("secrets/app.yaml.rej.age") == ["alice"]
        nothing_left(fleet)

    def test_not_for_an_admin_whom_nobody_accepted(self, fleet: DocFleet) -> None:
        """Key groups that no rule describes get no new reader, so that nobody is asked about an admin who is in none."""
        alice = fleet.derived("alice")
        (fleet.root / "secrets").mkdir()
        document = new_document(Format.YAML, b"a: " + OLD + b"\n", [[alice], [alice, fleet.public["carol"]]])
        (fleet.root / "secrets/app.yaml").write_bytes(document)
        line = keys.ed25519_key("eve").public
        fleet.change_registry(lambda text: edit.add_user(text, "eve", [line], admin=True))
        said = fleet.run("edit", "app.yaml", EDITOR=script(fleet, self.BAD), code=2).stderr
        assert b"secrets/app.yaml.rej.age" in said
        assert fleet.readers("secrets/app.yaml.rej.age") == ["alice"]
        assert len(evidence(Format.AGE, fleet.document("app.yaml.rej.age"))) == 1

    def test_a_new_document_likewise(self, fleet: DocFleet) -> None:
        editor = script(fleet, "file.write_bytes(b'- a list\\n')")
        fleet.run("edit", "deep/app.yaml", EDITOR=editor, code=2)
        assert not (fleet.root / "secrets").exists()
        assert fleet.run("show", "./app.yaml.rej.age").stdout == b"- a list\n"

    def test_on_a_terminal_it_goes_back_to_the_editor(self, fleet: DocFleet) -> None:
        before = fleet.make("app.yaml", TEXTS["app.yaml"])
        code = f"if run: assert b'a: [1' in file.read_bytes(); file.write_bytes({TEXTS['app.yaml'].replace(OLD, NEW)!r})\nelse: {self.BAD}"
        with on_terminal(fleet, script(fleet, code)) as terminal:
            terminal.expect(b"back to the editor? [y/N] ")
            assert NEW not in terminal.shown
            terminal.press(b"y\n")
            assert terminal.end() == 0, terminal.shown
        assert runs(fleet) == 2
        assert len(changed_lines(before, fleet.document("app.yaml"))) == 1
        assert fleet.sops_value("app.yaml", "db/password") == NEW
        nothing_left(fleet)

    def test_on_a_terminal_a_no_keeps_it(self, fleet: DocFleet) -> None:
        before = fleet.make("app.yaml", TEXTS["app.yaml"])
        with on_terminal(fleet, script(fleet, self.BAD)) as terminal:
            terminal.expect(b"back to the editor? [y/N] ")
            terminal.press(b"n\n")
            assert terminal.end() == 2
            assert b"secrets/app.yaml.rej.age" in terminal.shown
        assert runs(fleet) == 1
        assert fleet.document("app.yaml") == before

    def test_second_thoughts_write_nothing(self, fleet: DocFleet) -> None:
        before = fleet.make("app.yaml", TEXTS["app.yaml"])
        code = f"if run: file.write_bytes({TEXTS['app.yaml']!r})\nelse: {self.BAD}"
        with on_terminal(fleet, script(fleet, code)) as terminal:
            terminal.expect(b"back to the editor? [y/N] ")
            terminal.press(b"y\n")
            assert terminal.end() == 0
            assert b"unchanged" in terminal.shown
        assert fleet.document("app.yaml") == before

    def test_an_editor_that_fails_then_loses_nothing(self, fleet: DocFleet) -> None:
        fleet.make("app.yaml", TEXTS["app.yaml"])
        with on_terminal(fleet, script(fleet, f"if run: sys.exit(3)\nelse: {self.BAD}")) as terminal:
            terminal.expect(b"back to the editor? [y/N] ")
            terminal.press(b"y\n")
            assert terminal.end() == 1
        assert NEW in fleet.run("show", "secrets/app.yaml.rej.age").stdout

    def test_a_kept_text_is_no_secret_of_the_repository(self, fleet: DocFleet) -> None:
        """The rules name it, and it is for whoever typed it alone."""
        fleet.make("app.yaml", TEXTS["app.yaml"])
        fleet.run("edit", "app.yaml", EDITOR=script(fleet, self.BAD), code=2)
        assert b".rej.age" not in fleet.run("ls").stdout
        assert b".rej.age" not in fleet.run("rekey", "--plan").stdout
        said = fleet.run("check", code=3).stdout
        assert b"info: secrets/app.yaml.rej.age: is your text from an edit" in said
        assert said.count(b".rej.age") == 3  # the finding and its two commands
        fleet.run("rm", "--force", "secrets/app.yaml.rej.age")
        assert b".rej.age" not in fleet.run("check", code=3).stdout


def test_file_that_changed_underneath_is_not_overwritten(fleet: DocFleet) -> None:
    fleet.make("app.yaml", TEXTS["app.yaml"])
    other = (
        "import subprocess\n"
        "subprocess.run([sys.executable, '-m', 'secretsmith', 'set', 'app', 'flag'], input=b'theirs', check=True)\n"
    )
    said = fleet.run("edit", "app.yaml", EDITOR=script(fleet, other + REPLACE), code=9).stderr
    assert fleet.run("show", "app", "flag").stdout == b"theirs"
    assert b"secrets/app.yaml.rej.age" in said
    assert NEW in fleet.run("show", "secrets/app.yaml.rej.age").stdout
    nothing_left(fleet)


def test_who_cannot_open_it_gets_no_editor(fleet: DocFleet) -> None:
    fleet.make("app.yaml", TEXTS["app.yaml"])
    identity = str(fleet.private / "web2")
    said = fleet.run(
        "edit", "app.yaml", "--accept", "all",
        EDITOR=script(fleet, ""), HOME="/nonexistent", SECRETSMITH_IDENTITY=identity, code=5,
    ).stderr  # fmt: skip
    assert b"it can be read by: alice, carol" in said
    assert runs(fleet) == 0


@pytest.mark.parametrize("name", ["app.yaml", "value.age"])
@pytest.mark.parametrize("folder", ["secrets", "."])
def test_folder_that_cannot_be_written_is_said_before_the_editor(
    fleet: DocFleet, name: str, folder: str
) -> None:
    """Mounted read-only, which also root may not write."""
    fleet.run("set", name, stdin=b"a: 1\n")
    done = subprocess.run(
        [
            *(["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]),
            "sh", "-c", 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && cd "$2" && shift 2 && "$@"',
            "sh", str(fleet.root / folder), str(fleet.root), sys.executable, "-m", "secretsmith", "edit", name,
        ],
        env={**fleet.environ, "EDITOR": script(fleet, "")},
        capture_output=True,
        check=False,
    )  # fmt: skip
    if b"unshare:" in done.stderr or b"mount:" in done.stderr:
        pytest.skip("no mount namespaces here")
    assert done.returncode == 1, done.stderr
    assert b"cannot be written" in done.stderr
    assert runs(fleet) == 0


def on_terminal(fleet: DocFleet, editor: str) -> OnTerminal:
    argv = [sys.executable, "-m", "secretsmith", "edit", "app.yaml"]
    return OnTerminal(argv, cwd=fleet.root, environ={**fleet.environ, "EDITOR": editor})
