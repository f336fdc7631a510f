"""``--write-units``: the units as files, and no unit left that the manifest has no use for any more."""

from __future__ import annotations

from hosts import Host


def test_units_are_written_and_leave_again(host: Host) -> None:
    units = host.folder / "units"
    units.mkdir()
    host.add("password", b"x", phase="users")
    host.add("db", b"x")
    first = host.door("--write-units", str(units))
    assert first.returncode == 0, first.stderr
    written = {path.name for path in units.iterdir()}
    assert {"secretsmith-activate.service", "secretsmith-users.service", "secretsmith-retry.timer"} <= written
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in units.iterdir())
    assert first.stdout.splitlines()[-1].startswith(
        "secretsmith: next: systemctl daemon-reload && systemctl enable"
    )
    assert str(host.folder / "manifest.json") in (units / "secretsmith-activate.service").read_text()
    host.drop("password")
    second = host.door("--write-units", str(units))
    assert f"secretsmith: removed {units}/secretsmith-users.service" in second.stdout
    assert written - {path.name for path in units.iterdir()} == {"secretsmith-users.service"}


def test_dropins_come_and_go(host: Host) -> None:
    units = host.folder / "units"
    units.mkdir()
    (units / "web.service.d").mkdir()
    (units / "web.service.d/mine.conf").write_text("[Service]\n")
    host.add("db", b"x", credentials=["web.service:db", "app@.service:db"])
    first = host.door("--write-units", str(units))
    dropin = units / "web.service.d/50-secretsmith.conf"
    assert f"wrote {dropin} (credentials of web.service, from its next start on)" in first.stdout
    assert f"\nLoadCredential=db:{host.directory}/db\n" in dropin.read_text()
    assert dropin.stat().st_mode & 0o777 == 0o644
    assert (units / "app@.service.d/50-secretsmith.conf").exists()
    # Of others, and where a link leads, nothing is touched.
    (units / "foreign.service.d").mkdir()
    (units / "foreign.service.d/50-secretsmith.conf").write_text("[Service]\n")
    (host.folder / "elsewhere").mkdir()
    (host.folder / "elsewhere/50-secretsmith.conf").write_text(dropin.read_text())
    (units / "linked.service.d").symlink_to(host.folder / "elsewhere")
    host.add("db", b"x")
    second = host.door("--write-units", str(units))
    assert f"secretsmith: removed {dropin}\n" in second.stdout
    assert [path.name for path in (units / "web.service.d").iterdir()] == ["mine.conf"]
    assert not (units / "app@.service.d").exists(), "it was made for the drop-in alone"
    assert (units / "foreign.service.d/50-secretsmith.conf").exists()
    assert (host.folder / "elsewhere/50-secretsmith.conf").exists()


def test_a_dropin_folder_that_is_a_link(host: Host) -> None:
    units = host.folder / "units"
    units.mkdir()
    (host.folder / "elsewhere").mkdir()
    (units / "web.service.d").symlink_to(host.folder / "elsewhere")
    host.add("db", b"x", credentials=["web.service:db"])
    done = host.door("--write-units", str(units))
    assert done.returncode == 1 and "web.service.d/50-secretsmith.conf" in done.stderr
    assert not [*(host.folder / "elsewhere").iterdir()]


def test_a_unit_of_somebody_else_stays(host: Host) -> None:
    units = host.folder / "units"
    units.mkdir()
    foreign = units / "secretsmith-users.service"
    foreign.write_text("[Unit]\nDescription=mine\n")
    host.add("db", b"x")
    assert host.door("--write-units", str(units)).returncode == 0
    assert foreign.read_text() == "[Unit]\nDescription=mine\n"


def test_a_folder_that_is_not_there(host: Host) -> None:
    host.add("db", b"x")
    done = host.door("--write-units", str(host.folder / "systemd/user"))
    assert done.returncode == 1
    assert f"secretsmith: hint: mkdir -p {host.folder}/systemd/user\n" in done.stderr


def test_a_folder_that_others_may_write(host: Host) -> None:
    units = host.folder / "units"
    units.mkdir()
    units.chmod(0o777)
    host.add("db", b"x")
    done = host.door("--write-units", str(units))
    assert done.returncode == 1
    assert "is writable by others" in done.stderr
    assert not [*units.iterdir()]
