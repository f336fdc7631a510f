"""Parameters of the commands about the repository itself: plumbing, plugins, builders."""

from __future__ import annotations

from secretsmith.cli.parameters import argument, flag, many, option, parameters

_JSON = "Print JSON (docs/reference/schemas/{}.schema.json)."
_BUILDER = "The builder to ask, when more than one fits."


@parameters
class LockParameters:
    """``secretsmith lock --merge [FILE…]``."""

    merge: bool = flag("--merge", "Resolve the conflict markers in secretsmith.lock.", default=False)
    files: tuple[str, ...] = many("FILE", "As git's merge driver: the files BASE OURS THEIRS.", default=())


@parameters
class PluginsListParameters:
    """``secretsmith plugins list``."""

    json: bool = flag("--json", _JSON.format("plugins-list"), default=False)


@parameters
class BuildHostsParameters:
    """``secretsmith build hosts``."""

    json: bool = flag("--json", _JSON.format("build-hosts"), default=False)
    builder: str | None = option("--builder", "NAME", _BUILDER, default=None)


@parameters
class BuildManifestParameters:
    """``secretsmith build manifest HOST``."""

    host: str = argument("HOST", "The host's name in the registry.")
    builder: str | None = option("--builder", "NAME", _BUILDER, default=None)
    source_root: str | None = option(
        "--source-root",
        "DIR",
        "The folder of the repository's files on the host; default: here.",
        default=None,
    )
    out: str | None = option("--out", "FILE", "Where to write it; without it, standard output.", default=None)


@parameters
class BuildCheckParameters:
    """``secretsmith build check [HOST…]``, or ``secretsmith build check --manifest FILE --registry FILE``."""

    hosts: tuple[str, ...] = many(
        "HOST", "Hosts that builders know, with their files as they are here; default: all.", default=()
    )
    builder: str | None = option("--builder", "NAME", _BUILDER, default=None)
    manifest: str | None = option(
        "--manifest", "FILE", "Instead: this manifest of one host, as its build made it.", default=None
    )
    registry: str | None = option(
        "--registry", "FILE", "With --manifest: the registry, secretsmith.toml.", default=None
    )
    lock: str | None = option(
        "--lock",
        "FILE",
        "With --manifest: the lock, secretsmith.lock; without it nothing is known of anonymous recipients.",
        default=None,
    )
    json: bool = flag(
        "--json",
        _JSON.format("build-check-hosts")[:-2] + ", with --manifest build-check.schema.json).",
        default=False,
    )


@parameters
class ActivateParameters:
    """``secretsmith activate MANIFEST``."""

    manifest: str = argument("MANIFEST", "The manifest (docs/reference/manifest.md).")
    dry_run: bool = flag("--dry-run", "Say what would happen; nothing is written or mounted.", default=False)
    phase: str | None = option(
        "--phase", "PHASE", "users, services or initrd alone; default: all.", default=None
    )
    mount: bool = flag("--mount", "Only mount the filesystems in memory.", default=False)
    make_folders: bool = flag(
        "--make-folders", "Only make the missing folders of custom paths.", default=False
    )
    no_mount: bool = flag(
        "--no-mount", "The filesystem in memory is mounted already; never mount.", default=False
    )
    units: str | None = option(
        "--units", "HOW", "How to tell units of changes: systemctl, nixos or none.", default=None
    )
    write_units: str | None = option(
        "--write-units", "FOLDER", "Write the systemd units that run this at boot.", default=None
    )
    status: str | None = option("--status", "FILE", "Where to write the state of every secret.", default=None)
    paths: str | None = option(
        "--paths", "FILE", "Where to remember custom paths over a reboot.", default=None
    )
    wait: str | None = option("--wait", "SECONDS", "How long to wait for another activation.", default=None)
    owner_self: bool = flag("--owner-self", "Without root: every file belongs to you.", default=False)
    plain_folder: bool = flag(
        "--plain-folder", "Where mounting is forbidden: a folder on disk, NOT RAM.", default=False
    )


@parameters
class DemoParameters:
    """``secretsmith demo``."""


__all__ = [
    "ActivateParameters",
    "BuildCheckParameters",
    "BuildHostsParameters",
    "BuildManifestParameters",
    "DemoParameters",
    "LockParameters",
    "PluginsListParameters",
]
