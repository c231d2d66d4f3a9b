"""What happens to the sample organisation, and when. Only tests read it: detection has to find out."""

from dataclasses import dataclass, field
from datetime import date, timedelta

from finops.core.periods import previous_month


@dataclass(frozen=True)
class Plan:
    """The sample's days, [start, end), and the days on which its stories begin.

    The first story comes 27 days before the end: as the span has 59 days at least, a month
    of calm lies before it.
    """

    start: date
    end: date

    @classmethod
    def until(cls, end: date) -> "Plan":
        """From the first of the month before last until the day before `end`."""
        return cls(previous_month(previous_month(end)), end)

    @property
    def days(self) -> list[date]:
        return [self.start + timedelta(days=n) for n in range((self.end - self.start).days)]

    @property
    def spot_replaced(self) -> date:
        return self.end - timedelta(days=27)

    @property
    def storm(self) -> date:
        return self.end - timedelta(days=23)

    @property
    def storm_over(self) -> date:
        return self.storm + timedelta(days=2)

    @property
    def left_running(self) -> date:
        return self.end - timedelta(days=18)

    @property
    def launch(self) -> date:
        return self.end - timedelta(days=14)

    @property
    def prompt_change(self) -> date:
        return self.end - timedelta(days=9)

    @property
    def upgrade(self) -> date:
        """Some models get a new version; costs nothing."""
        return self.start + timedelta(days=17)

    @property
    def handover(self) -> date:
        """Passage ranking gets another owner."""
        return self.start + timedelta(days=14)


@dataclass(frozen=True)
class Story:
    """A planted change of cost: where it shows, from when, and why."""

    name: str
    onset: date
    until: date  # excluded
    where: dict[str, str]  # key columns or `resource`: the slice whose cost changes
    cause: str  # price, requests, idle, launch, tokens
    factor: float  # cost of the slice against the days before; 0 where there was none
    elsewhere: dict[str, str] = field(default_factory=dict)  # what else a reader may be told: team, ...
    direction: str = "up"
