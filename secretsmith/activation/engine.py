"""An activation: the phases of a manifest one after the other, then the units that are to hear of it, all at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from secretsmith.activation.accounts import Accounts, Caller, Ownership, SystemAccounts
from secretsmith.activation.folders import failed, open_folder, safe_folder
from secretsmith.activation.opening.sources import Sources
from secretsmith.activation.outcome import Outcome
from secretsmith.activation.phase import Common, Standing, look
from secretsmith.activation.places.placed import Placed, PlacedPath, load_placed, save_placed
from secretsmith.activation.plan import Judge
from secretsmith.activation.ramdisk import Memory
from secretsmith.activation.report import Problem, Report
from secretsmith.activation.scope import CREDSTORE_NAME, settled, surroundings
from secretsmith.activation.state import STATE_FILE, Moment, load_state, save_state
from secretsmith.activation.status import Known, load_status, write_status
from secretsmith.activation.target import Target, locked_target
from secretsmith.activation.units.changes import NO_CHANGES, UnitChanges
from secretsmith.activation.units.options import Notify, UnitOptions, UnitResult
from secretsmith.activation.values import Values
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.manifest import Manifest, Phase, Scope, parse_manifest
from secretsmith.record import field, record, replace

if TYPE_CHECKING:
    from secretsmith.activation.credstore import Credstore


@record
class Options:
    """How to activate.

    ``status`` is the status file's path and ``paths`` that of the record of custom paths, None for no such file; with
    ``usual`` those that are None are where they usually are. ``wait`` is in seconds, for the lock. ``phase`` None means
    all. ``units_for`` gives ``units`` once the scope is known. ``source`` is the manifest's path, ``environ`` has HOME and XDG_RUNTIME_DIR for
    manifests of users.
    """

    memory: Memory = Memory.MOUNT
    owner_self: bool = False
    status: str | None = None
    paths: str | None = None
    usual: bool = False
    wait: float = 30.0
    phase: Phase | None = None
    units: UnitOptions = field(default_factory=lambda: UnitOptions(Notify.NONE))
    units_for: Callable[[Scope], UnitOptions] | None = None
    source: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)


@record(frozen=False, slots=False)
class Run:
    """One activation on its way: what it was given, and what has come of it so far.

    ``unread`` is why the record of custom paths could not be read.
    """

    options: Options
    common: Common
    known: Known | None = None
    reports: list[Report] = field(default_factory=list)
    stopped: list[SecretsmithError] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    on_disk: bool = False
    unread: SecretsmithError | None = None

    @property
    def manifest(self) -> Manifest:
        """The manifest of all phases."""
        return self.common.whole


def activate(
    data: bytes,
    options: Options,
    *,
    accounts: Accounts | None = None,
    clock: Callable[[], Moment] = Moment.now,
    shield: Callable[[], None] = lambda: None,
) -> Outcome:
    """Turn the manifest ``data`` into files on this host.

    ``shield`` is called before the first private key is read. What is wrong with single secrets is in the outcome.

    Raises:
        SecretsmithError: what stops everything: the manifest is refused, the target is not ours, the disk is full. The
            old generation is live then.
    """
    run = begin(data, options, accounts=accounts, clock=clock, shield=shield)
    try:
        return _activate(run)
    except OSError as error:  # what nobody further down had a better word for
        raise failed(error, run.manifest.generations) from None


def begin(
    data: bytes,
    options: Options,
    *,
    accounts: Accounts | None = None,
    clock: Callable[[], Moment] = Moment.now,
    shield: Callable[[], None] = lambda: None,
) -> Run:
    """Check the manifest and who is asking; nothing is opened yet. Raises as :func:`activate`."""
    caller = Caller.current(owner_self=options.owner_self)
    manifest = settled(parse_manifest(data), options.environ, caller)
    if options.units_for is not None:
        options = replace(options, units=options.units_for(manifest.scope), units_for=None)
    if manifest.scope is Scope.USER:
        caller = replace(caller, owner_self=True)
        if options.phase not in (None, Phase.SERVICES):
            raise RefusedInput(
                Code.USAGE, f"scope user has no phase {options.phase}", hints=("leave out --phase",)
            )
        if options.memory in (Memory.MOUNT, Memory.VERIFY):
            options = replace(options, memory=Memory.USER)
    if options.usual:
        usual = surroundings(manifest.scope, options.environ, caller)
        options = replace(
            options, status=options.status or usual.status, paths=options.paths or usual.paths, usual=False
        )
    sources = Sources()
    values = Values(manifest, sources, caller, shield)
    return Run(options, Common(data, manifest, caller, accounts or SystemAccounts(), sources, values, clock))


def phases(run: Run) -> Iterator[Phase]:
    """Give the phases to do, in order: those that have entries, or had some."""
    chosen = run.options.phase
    for phase in (Phase.USERS, Phase.SERVICES, Phase.INITRD):
        if phase is chosen or (chosen is None and (phase is Phase.SERVICES or _is_wanted(run, phase))):
            yield phase


def _is_wanted(run: Run, phase: Phase) -> bool:
    view = run.manifest.for_phase(phase)
    if any(True for _ in view.entries()) or os.path.lexists(view.directory):
        return True
    # Of a run that was killed before its link was there, or at custom paths since before this boot: values that nobody
    # would remove any more.
    with contextlib.suppress(SecretsmithError):  # what is wrong with the record is said where it is used
        if run.options.paths and load_placed(run.options.paths, view.generations, run.common.caller):
            return True
    above, _, name = view.generations.rpartition("/")
    with (
        contextlib.suppress(OSError, SecretsmithError),
        safe_folder(above, run.common.caller.trusted) as parent,
    ):
        folder = open_folder(parent.fd, name)
        try:
            return bool(os.listdir(folder))
        finally:
            os.close(folder)
    return False


def mount_only(data: bytes, options: Options) -> list[str]:
    """Mount, or verify, the filesystems in memory of all phases, and write nothing; return their paths.

    Raises:
        SecretsmithError: as :func:`activate`.
    """
    run = begin(data, options)
    done = []
    for phase in phases(run):
        view = run.manifest.for_phase(phase)
        with (
            locked_target(view, run.options.memory, run.common.caller, options.wait) as target,
            target.ready(),
        ):
            done.append(view.generations)
    return done


def _activate(run: Run) -> Outcome:
    run.known = _known(run)
    with contextlib.ExitStack() as locks:
        for phase in phases(run):
            # One phase that cannot be done must not keep the machine from what the others need.
            try:
                _phase(run, phase, locks)
            except SecretsmithError as error:
                run.stopped.append(error)
            except OSError as error:
                run.stopped.append(failed(error, run.manifest.for_phase(phase).generations))
        if not run.reports and len(run.stopped) == 1:
            raise run.stopped[0]
        units = _tell_units(run)
        outcome = Outcome(run.reports, units=units, stopped=run.stopped, remarks=tuple(remarks(run)))
        return _with_status(run, outcome)


def _phase(run: Run, phase: Phase, locks: contextlib.ExitStack) -> None:
    options, common = run.options, run.common
    view = run.manifest.for_phase(phase)
    target = locks.enter_context(locked_target(view, options.memory, common.caller, options.wait))
    run.on_disk |= not target.is_memory
    with target.existing() as folder:
        standing = look(common, phase, target, folder, *remembered(run, phase))
        store = credstore(run)
        sources = common.sources.digests()
        is_current = store is None or store.is_current(view.entries(), sources)
        if standing.is_installed and is_current and _is_told(run, phase, target):
            # Had the record been lost, a copy would be a stranger after the next boot.
            unsaved = _remember(run, view, standing.state.placed)
            run.reports.append(
                Report(
                    view,
                    phase,
                    target.live,
                    problems=() if unsaved is None else (Problem(unsaved),),
                    notes=standing.notes,
                    nothing_done=True,
                    unchanged=sum(1 for _ in view.entries()),
                )
            )
            return
        # Imported here: an unchanged run must not pay for cryptography, nor for what writes.
        from secretsmith.activation.decide import decide
        from secretsmith.activation.install import Work, install

        now = common.clock()
        decisions, problems = decide(view, common.values, standing.owners, judge(common, standing, now))
        work = Work(standing, target, now, lambda placed: _remember(run, view, placed))
        report = install(work, decisions, problems)
        run.reports.append(report if store is None else store.applied(report, sources))
        run.targets.append(target)


def credstore(run: Run) -> Credstore | None:
    """Return where credentials are kept on the disk, beside the record of custom paths; None where they are not this run's.

    Before users exist the disk may be read-only still, and the run of all phases comes later.
    """
    if run.options.paths is None or run.options.phase is Phase.USERS:
        return None
    folder = f"{run.options.paths.rpartition('/')[0]}/{CREDSTORE_NAME}"
    if run.manifest.credential_key is None and not os.path.lexists(folder):
        return None
    # Imported here: most hosts have no such folder, and an unchanged run is to be quick.
    from secretsmith.activation.credstore import Credstore

    return Credstore(folder, run.manifest, run.common.caller)


def judge(common: Common, standing: Standing, now: Moment) -> Judge:
    """Return what decides the entries of a phase."""
    return Judge(standing.past, Ownership(common.caller.uid, common.caller.gid), now)


def _known(run: Run) -> Known | None:
    if run.options.status is None:
        return None
    try:
        return load_status(run.options.status, run.common.caller)
    except SecretsmithError as error:
        if error.code is Code.STATE:
            run.remarks.append(f"{error.code}: {error.message}")
        return None  # of any other error: writing it meets the same, and says so


def _is_told(run: Run, phase: Phase, target: Target) -> bool:
    """Whether the status file says what is live; without such a file there is nothing to say."""
    if run.options.status is None:
        return True
    return run.known is not None and run.known.says(run.manifest, run.options.source, phase, target.live)


def remembered(run: Run, phase: Phase) -> tuple[Placed, Placed]:
    """Return what was left at custom paths for this phase before this boot, and for the others.

    A damaged record is a remark.
    """
    before: Placed = {}
    others: dict[str, PlacedPath] = {}
    if run.options.paths is not None:
        try:
            for each in Phase:
                view = run.manifest.for_phase(each)
                found = load_placed(run.options.paths, view.generations, run.common.caller)
                if each is phase:
                    before = found
                else:
                    others |= found
        except SecretsmithError as error:
            if error.code is Code.STATE:
                run.remarks.append(f"{error.code}: {error.message}")
            else:
                run.unread = error
    return before, others


def _remember(run: Run, view: Manifest, placed: Placed) -> SecretsmithError | None:
    if run.options.paths is None:
        return None
    try:
        # What could not be read must not be lost either: it may know of old copies.
        merge = run.unread is not None
        save_placed(run.options.paths, view.generations, placed, run.common.caller, merge=merge)
    except SecretsmithError as error:
        return error
    return run.unread


def _tell_units(run: Run) -> UnitResult:
    changes = NO_CHANGES
    for report in run.reports:
        changes |= report.units
    if not changes:
        return UnitResult()
    from secretsmith.activation.units.telling import notify_units

    result = notify_units(changes, run.options.units)
    for target in run.targets:
        try:
            _told(target, result.untold)
        except (
            OSError
        ) as error:  # they are told once more by the next run; what was done is to be reported all the same
            problem = failed(error, f"{target.path}/{STATE_FILE}")
            result = replace(result, problems=(*result.problems, problem))
    return result


def _told(target: Target, untold: UnitChanges) -> None:
    with target.existing() as folder:
        state = None if folder is None else load_state(folder)
        if folder is not None and state is not None:
            left = state.pending & untold
            if left != state.pending:
                save_state(folder, replace(state, pending=left))


def _with_status(run: Run, outcome: Outcome) -> Outcome:
    path, common = run.options.status, run.common
    if path is None or all(report.nothing_done for report in run.reports):
        return outcome
    with contextlib.suppress(OSError):
        run.known = _known(run)  # another phase may have been activated meanwhile
    try:
        write_status(
            path,
            run.manifest,
            run.options.source,
            run.reports,
            outcome.exit_code,
            run.known,
            common.caller,
            common.clock(),
        )
    except SecretsmithError as error:
        return replace(outcome, failures=(*outcome.failures, error))
    return outcome


def remarks(run: Run) -> Iterator[str]:
    """Say what is unusual about how it was run."""
    caller, manifest = run.common.caller, run.manifest
    yield from dict.fromkeys(run.remarks)
    if run.on_disk:
        yield f"{manifest.generations} is a plain folder, NOT RAM: for a demo only"
    if manifest.credential_key is not None and run.options.paths is None:
        yield "credentials are not encrypted for the disk: that takes the machine's root"
    if caller.owner_self and manifest.scope is Scope.SYSTEM:
        yield f"every file belongs to user {caller.uid}: owners need root"


__all__ = [
    "Options",
    "Run",
    "activate",
    "begin",
    "credstore",
    "judge",
    "mount_only",
    "phases",
    "remarks",
    "remembered",
]
