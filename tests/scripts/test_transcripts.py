"""Each .txt file beside this one is a transcript of the command line, named by the behaviour it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import transcript

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("path", sorted(HERE.glob("*.txt")), ids=lambda path: path.stem)
def test_transcript(path: Path, tmp_path: Path, peer: Callable[[str], str]) -> None:
    transcript.Transcript(path, tmp_path, peer).run()


def played(text: str, tmp_path: Path, peer: Callable[[str], str]) -> transcript.Transcript:
    path = tmp_path / "it.txt"
    path.write_text(text)
    run = transcript.Transcript(path, tmp_path, peer)
    run.run()
    return run


@pytest.mark.parametrize(
    "text",
    [
        "secretsmith nope",
        "! secretsmith --version",
        "secretsmith --version\nexit 1",
        "secretsmith --version\nstdout nothing-like-it",
        "secretsmith --version\n! stdout secretsmith",
        "cmp a b\n-- a --\n1\n-- b --\n2\n",
        "exists a",
        "! exists a\n-- a --\n",
        "no-such-step",
        "! cp a b\n-- a --\n",
    ],
)
def test_the_runner_notices(text: str, tmp_path: Path, peer: Callable[[str], str]) -> None:
    with pytest.raises(AssertionError, match=r"it\.txt:\d+: "):
        played(text, tmp_path, peer)


def test_the_runner_notices_files_that_a_refused_command_changed(
    tmp_path: Path, peer: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    states = iter([{"a": (0, b"1")}, {"a": (0, b"2")}])
    monkeypatch.setattr(transcript.Transcript, "files", lambda self: next(states))
    with pytest.raises(AssertionError, match="changed files"):
        played("! secretsmith nope", tmp_path, peer)


def test_the_runner_gives_files_input_and_keys(tmp_path: Path, peer: Callable[[str], str]) -> None:
    run = played(
        "key web1\nexists web1 web1.pub\nmkdir sub\ncp a sub/b\ncmp a sub/b\nchmod 0600 a\nrm a\n! exists a\n"
        "env X=1\nsecretsmith --version\nstdout ^secretsmith\n-- a --\nhello\n",
        tmp_path,
        peer,
    )
    assert run.environ["X"] == "1"
    assert run.environ["web1"].startswith("ssh-ed25519 ")
    assert run.environ["web1_fingerprint"].startswith("SHA256:")
