"""The benchmarks do what their page says: its rows are those of the cases, and every case runs. How fast, no test asks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import agenix, report, table
from benchmarks.cases import CASES
from benchmarks.cases.model import Case, Line, quick
from benchmarks.goals import GOALS, Goal, Kind
from benchmarks.measure import Command, Failed, Ratio, Stopwatch, Timing
from benchmarks.programs import environment, find_peer
from benchmarks.runner import Growth, Row, growth

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "performance.md"
LINES = [line for case in CASES for line in case.lines()]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Stopwatch]:
    made = Stopwatch(tmp_path, runs=2)
    yield made
    made.close()


def command(text: str, folder: Path, share: float = 1.0) -> Command:
    return Command([sys.executable, "-c", text], {"PATH": "/usr/bin:/bin"}, folder, share=share)


def row(work: str = "1,000 secrets, 5 readers", *, goal: Goal | None = None, ours: float = 0.1) -> Row:
    theirs = Timing((2.0, 1.0, 4.0), 9000, share=0.1)
    return Row(
        Line("activate", work, "agenix's module"), Timing((ours, ours, ours), 20_000), theirs, goal=goal
    )


def test_the_page_has_the_rows_of_the_cases() -> None:
    found: list[Line] = []
    case = ""
    for text in PAGE.read_text().splitlines():
        if heading := re.match(r"## ([\w-]+): ", text):
            case = heading[1]
        elif case and text.startswith("| ") and not text.startswith("| work |"):
            work, peer = (cell.strip() for cell in text.split("|")[1:3])
            found.append(Line(case, work, peer))
    assert found == LINES


def test_no_two_rows_are_the_same() -> None:
    assert len(set(LINES)) == len(LINES)


def test_every_goal_is_one_of_a_row() -> None:
    assert set(GOALS) <= set(LINES)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_runs_at_its_smallest(case: Case, tmp_path: Path, peer: Callable[[str], str]) -> None:
    found = tmp_path / "found.json"
    words = ["--quick", "--runs", "1", "--json", str(found), "--width", "80", case.name]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines()[-len(list(case.lines(quick))) :])) <= 80
    rows = json.loads(found.read_text())["rows"]
    assert [(r["work"], r["peer"] or "") for r in rows] == [(at.work, at.peer) for at in case.lines(quick)]
    for each in rows:
        if each["skipped"]:
            for name in each["skipped"].removeprefix("not installed: ").split(", "):
                peer(name)
        elif each["work"] != case.growth:
            assert each["ours"]["median"] > 0
            assert each["theirs"]["median"] > 0


def test_an_unknown_case_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nonesuch"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no such case: nonesuch" in done.stderr


def test_memory_is_that_of_the_child_and_not_ours(tmp_path: Path, watch: Stopwatch) -> None:
    ours = bytearray(b"x") * (100 << 20)
    small, large = watch.compare([command("pass", tmp_path), command("bytearray(80 << 20)", tmp_path)])
    assert small.peak_kib < len(ours) >> 10
    assert large.peak_kib > 80 << 10


def test_a_part_of_the_work_is_extrapolated(tmp_path: Path, watch: Stopwatch) -> None:
    (timing,) = watch.compare([command("pass", tmp_path, share=0.001)])
    assert timing.median > 1  # no process starts in a thousandth of that
    assert table.time_of(timing).startswith("~")


def test_a_program_that_fails_is_no_measurement(tmp_path: Path, watch: Stopwatch) -> None:
    with pytest.raises(Failed, match=r"exit code 1\n.*no such secret"):
        watch.compare([command("raise SystemExit('no such secret')", tmp_path)])


def test_work_that_was_not_done_is_no_measurement(tmp_path: Path, watch: Stopwatch) -> None:
    def check() -> None:
        raise AssertionError("nothing was written")

    idle = command("pass", tmp_path)
    with pytest.raises(AssertionError, match="nothing was written"):
        watch.compare([Command(idle.argv, idle.env, idle.cwd, check=check)])


def test_a_command_may_have_one_core(tmp_path: Path, watch: Stopwatch) -> None:
    text = "import os; raise SystemExit(len(os.sched_getaffinity(0)) != 1)"
    one = command(text, tmp_path)
    watch.once(Command(one.argv, one.env, one.cwd, cores=1))


def test_programs_inherit_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONDONTWRITEBYTECODE", "SECRETSMITH_IDENTITY", "SOPS_AGE_KEY", "LC_ALL", "GNUPGHOME"):
        monkeypatch.setenv(name, "1")
    given = environment(tmp_path, tmp_path)
    assert not [
        name for name in given if name.startswith(("PYTHON", "SECRETSMITH", "SOPS_AGE", "LC_", "GNUPG"))
    ]


def test_the_sops_that_is_timed_is_no_wrapper_in_python(peer: Callable[[str], str]) -> None:
    peer("sops")
    found = find_peer("sops")
    assert found is not None
    assert Path(found).read_bytes()[:4] == b"\x7fELF"


def test_agenix_starts_seven_processes_a_secret(tmp_path: Path, peer: Callable[[str], str]) -> None:
    """dirname, mkdir, dirname, age, chmod and mv, and chown in the end; counted, as the module has them."""
    peer("age")
    counted = {}
    for count in (1, 3):
        folder = tmp_path / str(count)
        (folder / "bin").mkdir(parents=True)
        log = folder / "log"
        for name in ("dirname", "mkdir", "chmod", "mv", "chown", "ln", "basename", "readlink", "rm", "age"):
            real = "/bin/cp" if name == "age" else shutil.which(name)
            # in place of age something that makes the file: cp FILE OUT
            line = 'exec /bin/cp "${@: -1}" "${@: -2:1}"' if name == "age" else f'exec {real} "$@"'
            (folder / "bin" / name).write_text(f"#!/bin/bash\necho {name} >> {log}\n{line}\n")
            (folder / "bin" / name).chmod(0o755)
        (folder / "key").write_text("key")
        (folder / "file").write_text("value")
        secrets = {f"s{number}": folder / "file" for number in range(count)}
        script = agenix.activation(folder, folder / "key", secrets, mounts=False, owner=":")
        subprocess.run(
            ["bash", "-c", script],
            env={"PATH": f"{folder}/bin:/usr/bin:/bin"},
            check=True,
            capture_output=True,
        )
        assert (folder / "run/s0").read_text() == "value"
        counted[count] = log.read_text().split()
    assert len(counted[3]) - len(counted[1]) == 2 * 7
    assert counted[3].count("age") == counted[3].count("mv") == 3
    assert counted[3].count("dirname") == 6


def test_growth_is_net_of_start_up() -> None:
    linear = {1: 0.02, 100: 0.03, 1000: 0.12, 10_000: 1.02}
    found = growth(linear)
    assert found is not None
    assert (round(found.exponent, 2), found.start) == (1.0, 100)
    square = growth({1: 0.02, 100: 0.03, 1000: 1.02, 10_000: 100.02})
    assert square is not None
    assert round(square.exponent, 2) == 2.0


def test_growth_that_start_up_hides_is_judged_from_a_thousand_or_not_at_all() -> None:
    found = growth({1: 0.02, 100: 0.0201, 1000: 0.03, 10_000: 0.12})
    assert found is not None
    assert (round(found.exponent, 2), found.start) == (1.0, 1000)
    assert growth({1: 0.02, 100: 0.02, 1000: 0.02, 10_000: 0.02}) is None
    assert growth({1: 0.02, 100: 0.1}) is None


def test_a_ratio_is_that_of_the_pairs() -> None:
    found = Ratio.of(Timing((2.0, 1.0, 9.0), 0), Timing((1.0, 1.0, 3.0), 0))
    assert (found.median, found.low, found.high) == (2.0, 1.0, 3.0)
    assert (found.inverse.median, found.inverse.low, found.inverse.high) == (0.5, 1 / 3, 1.0)


@pytest.mark.parametrize(
    ("goal", "ours", "reached"),
    [
        (Goal(Kind.FASTER, 15), 0.1, True),
        (Goal(Kind.FASTER, 15), 0.2, False),
        (Goal(Kind.WITHIN, 4), 7.9, True),
        (Goal(Kind.WITHIN, 4), 8.1, False),
        (Goal(Kind.SECONDS, 0.4), 0.4, True),
        (Goal(Kind.SECONDS, 0.4), 0.41, False),
        (Goal(Kind.EXPONENT, 1.1), 0.1, None),
        (None, 0.1, None),
    ],
)
def test_what_is_reached(goal: Goal | None, ours: float, reached: bool | None) -> None:
    assert row(goal=goal, ours=ours).reached is reached


@pytest.mark.parametrize(("exponent", "reached"), [(1.1, True), (1.11, False)])
def test_a_growth_that_is_reached(exponent: float, reached: bool) -> None:
    limit = Goal(Kind.EXPONENT, 1.1)
    assert Row(Line("ls", "growth"), growth=Growth(exponent, 100), goal=limit).reached is reached


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits(width: int) -> None:
    rows = [row(goal=Goal(Kind.FASTER, 15), ours=each) for each in (0.000_123, 0.0123, 123.0)]
    rows.append(
        Row(Line("activate", CASES[5].growth), growth=Growth(1.071, 1000), goal=Goal(Kind.EXPONENT, 1.1))
    )
    printed = [table.heading(width), *table.lines(CASES[5], rows, width)]
    assert max(map(len, printed)) <= width
    assert any("20 MiB" in text for text in printed) is (width == 120)
    assert any("against agenix's module" in text for text in printed)
    assert any(text.endswith("yes") or " yes " in text for text in printed)


def test_what_is_not_installed_is_said() -> None:
    skipped = Row(Line("show", "5 readers", "pass show"), Timing((0.1,), 9), skipped="not installed: pass")
    assert any("pass show (not installed: pass)" in text for text in table.lines(CASES[1], [skipped], 80))
    assert "not installed: pass" in report.section(CASES[1], [skipped])


def test_every_measured_number_is_in_the_json() -> None:
    made = report.as_json(
        [(CASES[5], [row(goal=Goal(Kind.FASTER, 15))])], {"date": "2026-01-02"}, {"age": "1"}
    )
    (only,) = made["rows"]
    assert only["theirs"]["share_measured"] == 0.1
    assert only["faster"] == {"median": 20.0, "low": 10.0, "high": 40.0}
    assert only["goal"] == {"kind": "faster", "limit": 15}
    assert only["reached"] is True
    assert json.loads(json.dumps(made)) == made


def test_a_small_size_has_no_goal() -> None:
    assert quick(10_000) == 100
    assert [line for line in CASES[5].lines(quick) if line.work.startswith("10,000")] == []
