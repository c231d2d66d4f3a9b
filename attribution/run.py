"""Many days: which of them must run, side by side, and each put in force by a commit of its own."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TypeVar

from attribution import completeness
from attribution.day import LOOK_BACK, ROLLED_UP, WRITTEN, Computed, compute_day, compute_rollup
from attribution.inputs import digest, inputs_of_rollup
from attribution.models import RollUp, Run
from attribution.world import World
from finops.core import warehouse

Result = TypeVar("Result")
Progress = Callable[[str, date, int, int], None]  # stage, day, days done, days in all


@dataclass
class Report:
    """What a call of `attribute` did."""

    attributed: list[date] = field(default_factory=list)
    unchanged: list[date] = field(default_factory=list)
    rolled_up: list[date] = field(default_factory=list)
    reasons: dict[date, str] = field(default_factory=dict)  # why a day was attributed


def attribute(
    days: Iterable[date],
    *,
    force: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
    kept_until: int = 0,
) -> Report:
    """Attribute days, each replacing atomically what it said before; those whose inputs are unchanged are skipped.

    `kept_until`: the newest snapshot that somebody goes by, such as a closed month: what runs in force then say of
    themselves stays as it is. Safe to repeat, to interrupt and to run twice at a time.
    """
    wanted = sorted(set(days))
    report = Report()
    if not wanted:
        return report
    pending = wanted
    rolled_up: set[date] = set()
    while pending:
        world = _rolled_up(pending, force, workers, progress, rolled_up)
        pending = _attribute_all(world, pending, force, workers, progress, report, kept_until)
    report.rolled_up = sorted(rolled_up)
    _refresh_completeness(wanted)
    return report


def _rolled_up(
    days: Sequence[date], force: bool, workers: int, progress: Progress | None, rolled_up: set[date]
) -> World:
    """A world in which the days, and those they look back to, are rolled up as their requests are in it.

    Logs may come meanwhile: then once more. Adds the days that were rolled up to `rolled_up`.
    """
    span = {day - timedelta(days=back) for day in days for back in range(LOOK_BACK.days + 1)}
    by_force = set(days) if force else set()
    while True:
        # Before the world: what another process rolls up in between is done again, never taken for newer than it is.
        done = dict(RollUp.objects.filter(day__in=span).values_list("day", "fingerprint"))
        world = World.at(warehouse.latest())
        with_requests = {file.first_day for file in world.files.get("requests", []) if file.first_day}
        inputs = {day: inputs_of_rollup(world.on(day), day) for day in sorted(span & with_requests)}
        todo = [
            (day, found)
            for day, found in inputs.items()
            if done.get(day) != digest(found) or day in by_force or not world.is_there(ROLLED_UP, day)
        ]
        if not todo:
            return world
        rolled_up.update(_roll_up_all(world, todo, workers, progress))
        by_force = set()


def _roll_up_all(
    world: World, todo: Sequence[tuple[date, dict[str, str]]], workers: int, progress: Progress | None
) -> list[date]:
    """Roll up days, each with its inputs; those that no other process overtook."""
    threads = 1 if workers > 1 else None
    jobs = (
        (lambda day=day, inputs=inputs: compute_rollup(world.on(day), day, inputs, threads))
        for day, inputs in todo
    )
    rolled = []
    for number, computed in enumerate(side_by_side(jobs, workers), 1):

        def remember(_: int, computed: Computed = computed) -> None:
            RollUp.objects.update_or_create(day=computed.day, defaults={"fingerprint": computed.fingerprint})

        try:
            warehouse.commit(
                computed.files,
                computed_from=world.snapshot,
                note=f"roll-up of {computed.day}",
                beside=remember,
            )
        except warehouse.Overtaken:
            continue  # another process has just rolled up the same day, maybe from older logs: it is looked at again
        rolled.append(computed.day)
        if progress:
            progress("roll-up", computed.day, number, len(todo))
    return rolled


def _attribute_all(
    world: World,
    days: Sequence[date],
    force: bool,
    workers: int,
    progress: Progress | None,
    report: Report,
    kept_until: int,
) -> list[date]:
    """One pass over the days; those that another process overtook come back to be done again."""
    before = {run.day: run for run in Run.objects.filter(day__in=days).order_by("id")}
    known = {day: run.inputs for day, run in before.items() if not force and world.is_there(WRITTEN, day)}
    threads = 1 if workers > 1 else None
    jobs = ((lambda day=day: compute_day(world.on(day), day, known.get(day), threads)) for day in days)
    expected = completeness.Expectation(world.files)
    again = []
    for number, computed in enumerate(side_by_side(jobs, workers), 1):
        if computed.unchanged:
            _confirm(before[computed.day], world.snapshot, computed.looked_at, kept_until)
            report.unchanged.append(computed.day)
        else:
            missing = expected.missing(computed.day)

            def remember(snapshot: int, computed: Computed = computed, missing: str = missing) -> None:
                Run.objects.create(
                    day=computed.day,
                    computed_from=world.snapshot,
                    snapshot=snapshot,
                    looked_from=computed.looked_at[0],
                    looked_until=computed.looked_at[1],
                    fingerprint=computed.fingerprint,
                    inputs=computed.inputs,
                    policy_version=world.on(computed.day).policy_version,
                    complete=not missing,
                    incomplete_reason=missing,
                    charged=computed.charged,
                    allocated=computed.allocated,
                    seconds=computed.seconds,
                )

            try:
                warehouse.commit(
                    computed.files,
                    computed_from=world.snapshot,
                    unchanged=[
                        warehouse.Partition(name, warehouse.partition(name, computed.day))
                        for name in ROLLED_UP
                    ],
                    note=f"attribution of {computed.day}",
                    beside=remember,
                )
                report.attributed.append(computed.day)
                report.reasons[computed.day] = _changed(before.get(computed.day), computed.inputs)
            except warehouse.Overtaken:
                again.append(computed.day)
        if progress:
            progress("attribution", computed.day, number, len(days))
    report.attributed.sort()
    report.unchanged.sort()
    return again


def _confirm(run: Run, snapshot: int, looked_at: tuple[date, date], kept_until: int) -> None:
    """Read anew, the same figures came out: the run stands for this snapshot too, and may be explained by it.

    One that is kept goes on saying what it was computed from; another says it from this snapshot on.
    """
    seen = {"computed_from": snapshot, "looked_from": looked_at[0], "looked_until": looked_at[1]}
    with warehouse.the_commit_lock():
        if Run.objects.filter(day=run.day, pk__gt=run.pk).exists():
            return  # another process has attributed the day meanwhile
        if run.snapshot > kept_until or snapshot <= kept_until:
            Run.objects.filter(pk=run.pk).update(**seen)
            return
        for name, value in {**seen, "pk": None, "snapshot": snapshot}.items():
            setattr(run, name, value)
        run.save(force_insert=True)


def _changed(before: Run | None, now: Mapping[str, str]) -> str:
    """Which inputs differ from those of the day's last run, in words."""
    if before is None:
        return "first run"
    return (
        ", ".join(name for name in now if now[name] != before.inputs.get(name))
        or "nothing that changed: by force, or its files were gone"
    )


def side_by_side(jobs: Iterator[Callable[[], Result]], workers: int) -> Iterator[Result]:
    """The jobs' results as they come, `workers` at a time; DuckDB lets go of the interpreter while it works."""
    if workers <= 1:
        for job in jobs:
            yield job()
        return
    with ThreadPoolExecutor(workers) as pool:
        running: set[Future[Result]] = set()
        try:
            for job in jobs:
                running.add(pool.submit(job))
                if len(running) > workers:
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        yield future.result()
            for future in running:
                yield future.result()
        finally:
            for future in running:
                future.cancel()


def _refresh_completeness(days: Sequence[date]) -> None:
    """A day becomes complete when what it waited for has come, though its own figures stay."""
    expected = completeness.Expectation(World.at(warehouse.latest()).files)
    newest = {run.day: run for run in Run.objects.filter(day__in=days).order_by("id")}
    for day, run in newest.items():
        missing = expected.missing(day)
        if missing != run.incomplete_reason:
            Run.objects.filter(pk=run.pk).update(complete=not missing, incomplete_reason=missing)
