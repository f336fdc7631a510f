"""Root races a plain user: what is swapped on the way leads nowhere else, and no file is wider than it will be.

A victim folder belongs to root; whatever was made, renamed or removed in it would change its times.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts import Host, mount, unmount_below
from racers import NOBODY, Racer, racer
from sites import Site

from secretsmith.errors import Code, ExitCode
from secretsmith.manifest import Method

pytestmark = pytest.mark.usefixtures("as_root", "open_descriptors")
NAMES = ("copy", "link", ".copy.secretsmith-tmp", ".link.secretsmith-tmp")
# flips of the racing user, runs of root
AMOUNTS = pytest.mark.parametrize(
    ("flips", "runs"), [(100_000, 200), pytest.param(1_000_000, 3000, marks=pytest.mark.slow)]
)


@pytest.fixture
def world() -> Iterator[Path]:
    """A folder in memory that all may pass through; pytest's own folders are root's alone."""
    above = Path(tempfile.mkdtemp(prefix="secretsmith-races-"))
    above.chmod(0o755)
    mount("tmpfs", above, "mode=0755")
    yield above
    unmount_below(above)
    above.rmdir()


@pytest.fixture
def victim(world: Path) -> Path:
    """A folder of root with files of the names that activation writes."""
    found = world / "victim"
    found.mkdir(mode=0o755)
    for name in NAMES:
        (found / name).write_text("precious")
        (found / name).chmod(0o600)
    return found


def marks(victim: Path) -> dict[str, tuple[int, ...]]:
    """What changes with anything that is done to the folder or a file in it; not the time of the last look."""
    found: dict[str, tuple[int, ...]] = {}
    for path in (victim, *victim.iterdir()):
        status = path.lstat()
        found[path.name] = (
            status.st_ino,
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_size,
            status.st_nlink,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
    return found


def theirs(folder: Path) -> Path:
    """Make a folder of the racing user."""
    folder.mkdir(mode=0o755)
    os.chown(folder, NOBODY, NOBODY)
    return folder


def declare(site: Site, folder: Path, number: int, owner: str) -> None:
    """Other values than before, so that each run writes; every third run removes what the others made."""
    if number % 3 == 2:
        site.drop("copy")
        site.drop("link")
        return
    site.copy("copy", folder / "copy", str(number).encode(), owner=owner, group=owner, mode="0440")
    site.add("link", folder / "link", method=Method.LINK, owner=owner, group=owner)


def raced(
    race: Racer, site: Site, folder: Path, owner: str, least: tuple[int, int], want: set[Code | None]
) -> None:
    """Activate many times while others swap, so often and until all that is wanted was met; None: it went well."""
    swaps, runs = least
    met: set[Code | None] = set()
    number = 0
    while number < runs or race.count() < swaps or not (want <= met or number > 100 * runs):
        declare(site, folder, number, owner)
        failures = site.run()
        met |= {error.code for error in (*failures.values(), *site.places.stuck.values())} or {None}
        number += 1
    assert want <= met


@AMOUNTS
@pytest.mark.parametrize("deep", [False, True])
def test_a_folder_of_the_user_flips_with_a_link(
    world: Path, victim: Path, flips: int, runs: int, deep: bool
) -> None:
    """In the user's own home the folder on the way is now a folder, now a link to one of root's."""
    home = theirs(world / "home")
    way = theirs(home / "way")
    (home / "lure").symlink_to(victim.parent if deep else victim)
    target = theirs(way / "victim") if deep else way
    os.chown(home / "lure", NOBODY, NOBODY, follow_symlinks=False)
    before = marks(victim)
    with racer(NOBODY, "flip", str(way), str(home / "lure")) as race:
        # Some runs met the folder and some the link.
        raced(race, Site(world), target, str(NOBODY), (flips, runs), {None, Code.PATH_UNSAFE})
        assert race.count() >= flips
    assert marks(victim) == before


@AMOUNTS
@pytest.mark.parametrize("owner", ["root", str(NOBODY)])
def test_a_folder_in_a_sticky_one_flips_with_a_link(
    world: Path, victim: Path, flips: int, runs: int, owner: str
) -> None:
    """Where all may write, such as /tmp: the flipping folder is the user's, and the secret is the user's or root's."""
    sticky = world / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    way = theirs(sticky / "way")
    (sticky / "lure").symlink_to(victim)
    os.chown(sticky / "lure", NOBODY, NOBODY, follow_symlinks=False)
    before = marks(victim)
    want: set[Code | None] = {None, Code.PATH_UNSAFE}
    if owner == "root":
        want -= {None}
    with racer(NOBODY, "flip", str(way), str(sticky / "lure")) as race:
        raced(race, Site(world), way, owner, (flips, runs), want)
        assert race.count() >= flips
    assert marks(victim) == before
    if owner == "root":  # it never goes to a folder of somebody else
        real = next(path for path in sticky.iterdir() if not path.is_symlink())
        assert not list(real.iterdir())


@AMOUNTS
@pytest.mark.parametrize("owner", ["root", str(NOBODY)])
def test_names_in_a_sticky_folder_are_planted(
    world: Path, victim: Path, flips: int, runs: int, owner: str
) -> None:
    """The user makes links of the very names that are written, and takes away what is the user's already."""
    sticky = world / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    before = marks(victim)
    names = [str(sticky / name) for name in NAMES]
    with racer(NOBODY, "plant", str(victim / "copy"), *names) as race:
        raced(race, Site(world), sticky, owner, (flips // 10, runs), {Code.PATH_OCCUPIED})
    assert marks(victim) == before


def assert_narrow(seen: list[list[object]], final: int, owner: int, group: int) -> int:
    """Root's before it is given away, with no more than the owner's bits, or the owner's; how many were half-made."""
    for _, name, mode, uid, gid, _, _ in seen:
        assert isinstance(mode, int)
        assert mode & ~final == 0, (name, oct(mode))
        assert (uid, gid) in {(0, 0), (owner, group)}
        assert (uid, gid) == (owner, group) or mode & ~(final & 0o600) == 0, (name, oct(mode))
    return sum("secretsmith-tmp" in str(name) for _, name, *_ in seen)


@pytest.mark.parametrize("runs", [150, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("home", [False, True])
def test_watched_copies_are_never_wider(world: Path, runs: int, home: bool) -> None:
    """Root and another user look all the time; the value is large, so that its copy takes a while."""
    folder = theirs(world / "way") if home else world / "way"
    folder.mkdir(exist_ok=True)
    site = Site(world)
    with racer(0, "watch", str(folder)) as root, racer(NOBODY - 1, "watch", str(folder)) as other:
        number = 0
        while number < runs or not other.count():
            number += 1
            value = str(number).encode() * 20_000
            site.copy("copy", folder / "copy", value, owner=str(NOBODY), group=str(NOBODY), mode="0440")
            assert not site.run()
        seen, others = root.stop(), other.stop()
    assert assert_narrow(seen, 0o440, NOBODY, NOBODY), "copies were met while they were made"
    assert_narrow(others, 0o440, NOBODY, NOBODY)
    assert others
    assert not [found for found in others if found[5]], "nobody else opened one"


@pytest.mark.parametrize("runs", [15, pytest.param(200, marks=pytest.mark.slow)])
def test_watched_generations_are_never_wider(world: Path, runs: int) -> None:
    host = Host(world)
    for number in range(20):
        host.add(f"s{number}", b"x" * 50_000, owner=str(NOBODY), group=str(NOBODY), mode="0440")
    assert host.run().exit_code is ExitCode.OK
    watched = str(host.generations)
    with racer(0, "watch", watched) as root, racer(NOBODY - 1, "watch", watched) as other:
        number = 0
        while number < runs or not other.count():
            number += 1
            host.encrypt("s0", str(number).encode())
            assert host.run().exit_code is ExitCode.OK
        seen, others = root.stop(), other.stop()
    secrets = [found for found in seen if str(found[1]).startswith("s") and found[1] != "state.json"]
    assert_narrow(secrets, 0o440, NOBODY, NOBODY)
    assert [found for found in secrets if str(found[0]).endswith(".tmp")], "drafts were met"
    assert not others, "the folder of generations is not listed by others"
    assert stat.S_IMODE((host.generations / "state.json").stat().st_mode) == 0o600
