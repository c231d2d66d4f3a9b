"""The product against the independent reference, on worlds where bill, metrics and logs hardly meet.

`FINOPS_WORLDS=500 pytest tests/attribution/test_against_reference.py` looks at more of them;
`python -m tests.attribution.comparison` reduces those that disagree.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests import worlds
from tests.attribution.comparison import differences_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_core")]
EXAMPLES = int(os.environ.get("FINOPS_WORLDS", "8"))


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.generate],  # comparison.py reduces what disagrees, and keeps its files
)
@given(world=worlds.worlds())
def test_every_allocation_count_and_rule_is_as_the_reference_says(world: worlds.World) -> None:
    assert differences_of(world) == []
