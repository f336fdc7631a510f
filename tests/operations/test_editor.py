from __future__ import annotations

import os
from pathlib import Path

import pytest

from secretsmith.errors import RefusedInput
from secretsmith.operations.editor import PRESETS, choose_editor


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    for name in ("nano", "vim", "vim.tiny", "nvim", "busybox"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_presets_switch_copies_off() -> None:
    for name in ("vim", "vi", "vim.tiny", "nvim"):
        words = PRESETS[name]
        assert words[:3] == ("-n", "-i", "NONE"), name
        after = words[words.index("-c") + 1]
        for option in ("nobackup", "nowritebackup", "noswapfile", "noundofile", "nomodeline"):
            assert option in after.split(), (name, option)
    assert "shada=" in PRESETS["nvim"][-1]
    assert PRESETS["nano"] == ("--ignorercfiles",)
    assert PRESETS["emacs"][0] == "--eval"
    lisp = PRESETS["emacs"][1]
    assert lisp.count("(") == lisp.count(")")
    assert "false" in PRESETS["micro"]
    assert PRESETS["hx"] == PRESETS["helix"] == ()


def test_own_arguments_come_first(programs: Path) -> None:
    editor = choose_editor({"EDITOR": f"{programs}/vim -u 'my rc'", "PATH": ""})
    assert editor.argv[:3] == (f"{programs}/vim", "-u", "my rc")
    assert editor.argv[3:] == PRESETS["vim"]
    assert editor.known


@pytest.mark.parametrize(
    ("link", "target", "preset"),
    [("editor", "nano", "nano"), ("vi", "vim.tiny", "vim"), ("vim", "nvim", "nvim")],
)
def test_links_are_looked_through(programs: Path, link: str, target: str, preset: str) -> None:
    """Debian's `editor` and NixOS's `vim` are links to something else."""
    (programs / link).unlink(missing_ok=True)
    (programs / link).symlink_to(target)
    editor = choose_editor({"EDITOR": link, "PATH": str(programs)})
    assert editor.argv == (link, *PRESETS[preset])


def test_vi_that_is_something_else_gets_no_arguments_it_does_not_know(programs: Path) -> None:
    (programs / "vi").symlink_to("busybox")
    editor = choose_editor({"EDITOR": "vi", "PATH": str(programs)})
    assert editor.argv == ("vi",)
    assert not editor.known


def test_without_a_variable_an_installed_one_is_taken(programs: Path) -> None:
    assert choose_editor({"PATH": str(programs), "VISUAL": "  "}).argv[0] == "nano"


def test_no_editor_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(RefusedInput, match="no editor"):
        choose_editor({"PATH": str(tmp_path)})


def test_variable_with_unbalanced_quotes_is_refused_without_its_text() -> None:
    with pytest.raises(RefusedInput) as caught:
        choose_editor({"EDITOR": "vim 'unfinished", "PATH": os.defpath})
    assert "unfinished" not in caught.value.message
