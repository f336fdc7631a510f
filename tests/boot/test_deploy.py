"""deploy onto a bare Debian that has sshd and python3 and no more: with --bootstrap, and then what a fleet's life brings."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import bootroot
import console
import pytest
from boothost import ACTIVATE, HOST_KEY, UNITS, BootHost
from keys import SshKey, ed25519_key
from repositories import Fleet
from sshservers import SshServers

ROOT = Path(__file__).resolve().parents[2]
BASE = "/var/lib/secretsmith"
DECLARED = """\
[secrets.db]
file = "secrets/web/db.age"
owner = "app"
group = "readers"
mode = "0440"
restart_units = ["reader.service"]

[secrets.smtp]
file = "secrets/web/smtp.age"
path = "/etc/smtp/password"
"""


class Bare:
    """A fleet, and its web1 as Debian installs it, reached by ssh through the machine's own sshd."""

    def __init__(self, host: BootHost, folder: Path, peer: Callable[[str], str]) -> None:
        self.host = host
        self.machine = host.machine
        folder.mkdir(exist_ok=True)
        self.fleet = Fleet(folder)
        self.servers = SshServers(folder, peer)
        self.fleet.environ["PATH"] = self.servers.path
        shutil.rmtree(self.machine.root / bootroot.INSTALLED)
        for program in ("secretsmith", "secretsmith-activate"):
            (self.machine.root / "usr/local/bin" / program).unlink()
        self.client = ed25519_key("alice@laptop")
        self.client.write(self.servers.folder, "client")
        host.write("/root/.ssh/authorized_keys", self.client.public + "\n", 0o600)
        for path, mode in (("/root/.ssh", 0o700), ("/root", 0o700)):
            host.path(path).chmod(mode)

    def boot(self) -> None:
        """Boot, and tell ssh the way: into the machine's namespaces, since it has no network."""
        self.machine.boot()
        door = f"nsenter --all --target {self.machine.leader} /usr/sbin/sshd -i"
        self.servers.config.write_text(
            f"Host web1\n  User root\n  ProxyCommand {door}\n  IdentitiesOnly yes\n"
            f"  IdentityFile {self.servers.folder}/client\n"
        )

    def register(self, key: SshKey) -> None:
        """Say which key web1 has, and encrypt for it."""
        file = self.fleet.folder / "key.pub"
        file.write_text(key.public + "\n")
        self.fleet.run("host", "reprovision", "web1", "--key-file", str(file), "--yes", "--rekey")

    def set(self, name: str) -> str:
        """Give a secret a new random value; return what sha256sum will say."""
        self.fleet.set(f"secrets/web/{name}.age", self.host.value(name))
        return self.host.digest(name)

    def deploy(self, *words: str, code: int = 0) -> str:
        """Run it; return what it says."""
        done = self.fleet.run("deploy", "web1", *words, code=code)
        return (done.stdout + done.stderr).decode()

    def digest(self, path: str) -> str:
        """What is installed."""
        return self.machine.run("sha256sum", path).stdout.split()[0]


@pytest.fixture
def bare(new_host: Callable[..., BootHost], tmp_path: Path, peer: Callable[[str], str]) -> Iterator[Bare]:
    peer("age")
    made = Bare(new_host(), tmp_path, peer)
    yield made
    made.servers.stop()


def test_the_life_of_a_plain_host(bare: Bare) -> None:
    machine, host = bare.machine, bare.host
    host.service("reader.service", "User=app", start="sha256sum /run/secrets/db")
    (bare.fleet.root / "secretsmith.d").mkdir()
    (bare.fleet.root / "secretsmith.d/web1.toml").write_text(DECLARED)
    db, smtp = bare.set("db"), bare.set("smtp")
    bare.register(host.key)
    # What the host's own pip would be told is not for this.
    host.write(
        "/etc/pip.conf", "[global]\nindex-url = http://127.0.0.1:1/\nrequire-hashes = true\ntarget = /pip\n"
    )
    bare.boot()

    assert "deploy web1 --bootstrap" in bare.deploy(code=1)
    assert machine.run("ls", BASE, check=False).returncode != 0
    said = bare.deploy("--bootstrap")
    assert "generation 1: +2 new" in said
    assert bare.digest("/run/secrets/db") == db and bare.digest("/etc/smtp/password") == smtp
    owners = machine.run("stat", "-L", "-c", "%U:%G %a", "/run/secrets/db", "/etc/smtp/password").stdout
    assert owners == "app:readers 440\nroot:root 400\n"
    assert machine.run("id", "-nG", "app").returncode == 0
    assert machine.state(ACTIVATE) == "active" and machine.state("reader.service") == "active"
    assert machine.run("secretsmith", "status").returncode == 0
    unit = machine.run("cat", f"{UNITS}/{ACTIVATE}").stdout
    assert "/opt/secretsmith/current/bin/secretsmith-activate" in unit
    assert machine.run("stat", "-c", "%a", BASE).stdout == "700\n"

    # What changed is restarted, and nothing else.
    running = machine.properties("reader.service", "InvocationID")
    assert "nothing to do, 2 unchanged" in bare.deploy()
    assert machine.properties("reader.service", "InvocationID") == running
    newer = bare.set("db")
    assert "1 changed" in bare.deploy("--dry-run") and bare.digest("/run/secrets/db") == db
    assert "restarted reader.service" in bare.deploy()
    assert machine.properties("reader.service", "InvocationID") != running
    assert bare.digest("/run/secrets/db") == newer

    # They come back at boot, without anybody's help; and going back goes back.
    machine.shut_down()
    bare.boot()
    assert bare.digest("/run/secrets/db") == newer and machine.state(ACTIVATE) == "active"
    assert "1 changed" in bare.deploy("--rollback")
    assert bare.digest("/run/secrets/db") == db
    machine.shut_down()
    host.assert_nothing_on_disk()

    # It is installed anew: its key is another, and nothing goes there before somebody has said that it is right.
    host.install_key(ed25519_key("root@web1"))
    bare.boot()
    said = bare.deploy(code=8)
    assert "host reprovision web1 --scan" in said
    bare.register(host.key)
    bare.deploy()
    assert bare.digest("/run/secrets/db") == newer
    assert machine.run("secretsmith", "status").returncode == 0
    # What people have at their own computer did not come along, and that is said.
    done = machine.run("secretsmith", "--help", check=False)
    assert done.returncode == 1 and "for the host alone" in done.stderr


def test_the_howto(
    new_host: Callable[..., BootHost],
    tmp_path: Path,
    peer: Callable[[str], str],
    request: pytest.FixtureRequest,
) -> None:
    bare = Bare(new_host(has_key=False), tmp_path / "other", peer)
    sandbox = console.Sandbox(tmp_path, ROOT)
    request.addfinalizer(sandbox.close)
    sandbox.environ["PATH"] = f"{bare.servers.bin}:{sandbox.environ['PATH']}"
    sandbox.public_key("root@web1")
    key = bare.host.path(HOST_KEY)
    shutil.copy(sandbox.hosts / "web1", key)
    key.chmod(0o600)
    bare.boot()
    steps = console.steps_of((ROOT / "docs/how-to/deploy-over-ssh.md").read_text())
    assert sum(step.booted for step in steps) > 4
    for step in steps:
        if step.on_host:
            done = bare.machine.run("sh", "-c", f"{step.command} 2>&1", check=False)
            assert done.returncode == step.exit, f"line {step.line}: {done.stdout}"
            printed = done.stdout
        else:
            printed = sandbox.run(step)
        if step.output:
            assert console.matches(step.output, printed), f"line {step.line}: {step.command}\n{printed}"
