"""What a weekly mail says: what an owner's teams cost, why it changed, and one thing to do.

A week is a calendar week, Monday to Sunday in UTC, up to its last complete day; it is compared with the same
days of the week before. Its figures are those of the explorer for these days and teams: the
mail links to that very view.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.urls import reverse

from anomalies.models import Incident
from anomalies.queries import Reason, incidents_between, reasons
from attribution.models import Run
from attribution.queries import runs
from finops.core import warehouse
from finops.core.access import Scope
from finops.core.periods import midnight
from reports import queries
from reports.figures import Figures, total
from reports.filters import ExplorerQuery
from reports.selection import Selection, Span
from reports.templatetags.figures import change, days, money, short, unit_cost

WEEK = timedelta(days=7)
REASONS_TOLD = 2
MODELS_TOLD = 8
TOLD_FROM = Decimal("0.01")  # a smaller reason is none
ALIKE = Decimal("0.005")  # of the week before: a smaller change is none
IDLE_SHARE = Decimal("0.5")  # of a model's machines, from which they are worth a look

_UP, _DOWN = True, False
_WORDS: dict[tuple[str, bool], str] = {
    ("requests", _UP): "more requests to {model}",
    ("requests", _DOWN): "fewer requests to {model}",
    ("mix", _UP): "a dearer mix of what {model} is asked for",
    ("mix", _DOWN): "a cheaper mix of what {model} is asked for",
    ("tokens per request", _UP): "more tokens in each request to {model}",
    ("tokens per request", _DOWN): "fewer tokens in each request to {model}",
    ("work per token", _UP): "more machine time for each token of {model}",
    ("work per token", _DOWN): "less machine time for each token of {model}",
    ("work per request", _UP): "more machine time for each request to {model}",
    ("work per request", _DOWN): "less machine time for each request to {model}",
    ("price", _UP): "a higher price of the machines under {model}",
    ("price", _DOWN): "a lower price of the machines under {model}",
    ("price per token", _UP): "a higher price of each token of {model}",
    ("price per token", _DOWN): "a lower price of each token of {model}",
    ("price per request", _UP): "a higher price of each request to {model}",
    ("price per request", _DOWN): "a lower price of each request to {model}",
    ("machines", _UP): "more machine hours for {model}",
    ("machines", _DOWN): "fewer machine hours for {model}",
    ("utilisation", _UP): "machines of {model} that stood idle more",
    ("utilisation", _DOWN): "machines of {model} that stood idle less",
    ("idle", _UP): "more idle cost of {model}",
    ("idle", _DOWN): "less idle cost of {model}",
    ("share of machines", _UP): "a larger part of the idle time of shared machines for {model}",
    ("share of machines", _DOWN): "a smaller part of the idle time of shared machines for {model}",
    ("launch", _UP): "the launch of {model}",
    ("end", _DOWN): "the end of {model}",
    ("shared", _UP): "more shared cost, such as support and network",
    ("shared", _DOWN): "less shared cost, such as support and network",
    ("unallocated", _UP): "more cost that no request explains",
    ("unallocated", _DOWN): "less cost that no request explains",
}
_MOSTLY = {"tenant": ", mostly of tenant {}", "feature": ", mostly for {}", "resource": ", mostly {}"}
_ADVICE = {
    "requests": "Ask {who} what the additional requests to {model} are: a retry loop looks just like this.",
    "tokens per request": "Look at the last change of prompts for {what}: each request became longer.",
    "price": "See whether {model} can run on the cheaper capacity it had before, such as spot or a commitment.",
    "machines": "Turn off {what} if nobody needs it: it costs, and serves next to nothing.",
    "utilisation": "Give {model} fewer replicas, or let it share its machines: they stand idle.",
}

_FIGURES: tuple[tuple[str, Callable[[Figures], Decimal | None], Callable[[Decimal | None], str]], ...] = (
    ("Cost", lambda figures: figures.cost, money),
    ("Per prediction, usage", lambda figures: figures.cpp_usage, unit_cost),
    ("Per prediction, fully loaded", lambda figures: figures.cpp_loaded, unit_cost),
)


@dataclass(frozen=True)
class Owner:
    email: str
    teams: tuple[str, ...]


@dataclass(frozen=True)
class ModelLine:
    """A model in the mail: its figures of the week and of the one before."""

    model: str
    now: Figures
    before: Figures
    width: int  # of its bar, in percent of the dearest model's


@dataclass(frozen=True)
class Letter:
    """Everything a mail says, before it is put into words and tables."""

    owner: Owner
    week: date  # its Monday
    days: Span  # those that are told of: up to the last complete one
    now: Figures
    before: Figures | None  # the same days of the week before; None where they are not all attributed
    models: list[ModelLine]
    reasons: list[tuple[str, Decimal]]
    advice: str
    incidents: list[Incident]
    left_out: dict[date, str]  # days at the end of the week that are not complete, with what is missing
    unsure: dict[date, str]  # days that are told of or compared with, and are not complete either
    link: str

    @property
    def teams(self) -> str:
        return ", ".join(one_line(team) for team in self.owner.teams)

    @property
    def span(self) -> str:
        return f"{days(self.days.start, self.days.end)} {self.days.last.year}"

    @property
    def change(self) -> Decimal | None:
        return None if self.before is None else self.now.cost - self.before.cost

    @property
    def figures(self) -> list[tuple[str, str, str, str]]:
        """What, this week, the week before, and the change between them."""
        return [
            (what, written(now), written(then), change(now, then))
            for what, figure, written in _FIGURES
            for now, then in [(figure(self.now), figure(self.before) if self.before else None)]
        ]

    @property
    def compared_with(self) -> str:
        return "the same days of the week before" if self.left_out else "the week before"

    @property
    def headline(self) -> str:
        """Cost, change and why, in a sentence."""
        cost = f"{money(self.now.cost)} {settings.FINOPS_CURRENCY} for inference"
        if self.before is None or self.change is None:
            return f"{cost}; the week before is not wholly attributed, so there is nothing to compare with."
        if abs(self.change) <= ALIKE * abs(self.before.cost):
            return f"{cost}, as much as {self.compared_with}."
        more = "more" if self.change > 0 else "less"
        percent = f" ({change(self.now.cost, self.before.cost)})" if self.before.cost else ""
        why = next((text for text, amount in self.reasons if (amount > 0) == (self.change > 0)), "")
        because = f", mainly because of {why}" if why else ""
        return f"{cost}, {money(abs(self.change))} {more} than {self.compared_with}{percent}{because}."


def last_week(today: date | None = None) -> date:
    """The Monday of the last week that is over."""
    return monday(today or datetime.now(UTC).date()) - WEEK


def monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def owners(moment: date) -> list[Owner]:
    """Who is to know of which teams' cost, as the owners table stands just before this day."""
    before = midnight(moment) - timedelta(seconds=1)
    with closing(warehouse.connect()) as con:
        warehouse.open_view(con, "owners")
        rows = con.execute(queries.sql("owner_teams"), {"moment": before}).fetchall()
    teams: dict[str, list[str]] = {}
    for email, team in rows:
        teams.setdefault(email, []).append(team)
    return [Owner(email, tuple(names)) for email, names in teams.items()]


def letters(wanted: Sequence[Owner], start: date) -> Iterator[Letter]:
    """The mails of a week; none to owners whose teams cost nothing in it nor in the week before."""
    snapshot = warehouse.latest()
    attributed = runs(start - WEEK, start + WEEK)
    span = days_told(start, attributed)
    if span is None or not wanted:
        return
    previous = Span(span.start - WEEK, span.end - WEEK)
    now, before = list(span), list(previous)
    comparable = all(day in attributed for day in before)
    left_out = {day: _missing(attributed.get(day)) for day in Span(span.end, start + WEEK)}
    unsure = {
        day: attributed[day].incomplete_reason
        for day in [*(before if comparable else []), *now]
        if day in attributed and not attributed[day].complete
    }
    why = reasons([owner.teams for owner in wanted], now, before if comparable else [], snapshot)
    for owner, causes in zip(wanted, why, strict=True):
        where = {"team": owner.teams}
        models, models_before = (
            {
                model: served
                for (model,), served in queries.figures_by(
                    Selection(one.start, one.end, "day", ("model",), where), ("model",), snapshot
                ).items()
            }
            for one in (span, previous)
        )
        figures = total(models.values())
        figures_before = total(models_before.values()) if comparable else None
        if not any(one and (one.cost or one.requests) for one in (figures, figures_before)):
            continue
        incidents = incidents_between(span.start, span.end, Scope(frozenset(owner.teams)))
        yield Letter(
            owner,
            start,
            span,
            figures,
            figures_before,
            _lines(models, models_before if comparable else {}),
            _told(causes, figures, figures_before),
            advice(incidents, models),
            incidents,
            left_out,
            unsure,
            f"{settings.FINOPS_SITE_URL}{reverse('explorer')}?"
            f"{ExplorerQuery(span.start, span.end, where=where).query()}",
        )


def days_told(start: date, attributed: Mapping[date, Run]) -> Span | None:
    """The week up to its last complete day, or where it has none, to its last attributed day; None without any."""
    week = list(Span(start, start + WEEK))
    complete = [day for day in week if day in attributed and attributed[day].complete]
    last = max(complete or [day for day in week if day in attributed], default=None)
    return Span(start, last + timedelta(days=1)) if last else None


def _missing(run: Run | None) -> str:
    return run.incomplete_reason if run else "not attributed yet"


def _lines(now: Mapping[str, Figures], before: Mapping[str, Figures]) -> list[ModelLine]:
    """The dearest models; what has no model at all is left to the sum."""
    dearest = max((figures.cost for figures in now.values()), default=Decimal(0))
    lines = [
        ModelLine(
            one_line(model),
            now.get(model, Figures()),
            before.get(model, Figures()),
            int(max(now[model].cost, Decimal(0)) / dearest * 100) if model in now and dearest > 0 else 0,
        )
        for model in {**now, **before}
        if model
    ]
    return sorted(lines, key=lambda line: (-line.now.cost, line.model))[:MODELS_TOLD]


def _told(causes: Sequence[Reason], now: Figures, before: Figures | None) -> list[tuple[str, Decimal]]:
    """The largest reasons, in words. All together they make the change."""
    if before is None:
        return []
    every = [
        *causes,
        Reason("", "shared", now.shared - before.shared),
        Reason("", "unallocated", now.unallocated - before.unallocated),
    ]
    largest = sorted(every, key=lambda one: -abs(one.amount))[:REASONS_TOLD]
    return [(in_words(one), one.amount) for one in largest if abs(one.amount) >= TOLD_FROM]


def in_words(reason: Reason) -> str:
    moved = _WORDS.get((reason.factor, reason.amount > 0), f"{reason.factor} of {{model}}")
    mostly = _MOSTLY.get(reason.key, "")
    model = one_line(reason.model) or "what has no model"
    return moved.format(model=model) + mostly.format(one_line(short(reason.value)))


def advice(incidents: Sequence[Incident], models: Mapping[str, Figures]) -> str:
    """One thing to do: about the dearest open incident, else about the machines that stand idle most."""
    for incident in incidents:
        if incident.state != Incident.OPEN or incident.direction == "down" or not incident.factors:
            continue
        text = _ADVICE.get(incident.factors[0]["factor"])
        if text:
            what = short(incident.resource) or incident.feature or incident.model
            who = incident.tenant or incident.feature or "those who call it"
            todo = text.format(model=one_line(incident.model), what=one_line(what), who=one_line(who))
            return f"{todo} {_worth(incident)}"
    idle = {
        model: figures
        for model, figures in models.items()
        if figures.idle_share is not None and figures.idle_share >= IDLE_SHARE
    }
    if not idle:
        return "Nothing: this week's days were normal, and no machine stood idle most of the time."
    model, figures = max(idle.items(), key=lambda one: one[1].idle)
    share = (figures.idle_share or Decimal(0)) * 100
    return (
        f"Give {one_line(model)} fewer replicas, or let it share its machines: they stood idle for "
        f"{share:.0f} % of their cost, {money(figures.idle)} {settings.FINOPS_CURRENCY}."
    )


def _worth(incident: Incident) -> str:
    a_day = incident.impact / incident.days
    since = f"since {incident.onset.day} {incident.onset:%B}"
    return f"It has cost {money(a_day)} {settings.FINOPS_CURRENCY} a day more than expected {since}."


def one_line(text: str) -> str:
    """A name as it may stand in a sentence or a header: whatever a log or table holds, it begins no new line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
