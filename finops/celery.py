"""The Celery application and its timetable. `celery -A finops worker`, and one `celery -A finops beat`."""

import os

from celery import Celery
from celery.schedules import crontab
from celery.signals import worker_init
from django.conf import settings

from finops.core.command import PATIENCE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finops.settings")
app = Celery("finops")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = ["finops.tasks"]


def step_back(**_: object) -> None:
    """Tasks wait for pages where they share the cores."""
    os.nice(PATIENCE)


worker_init.connect(step_back)

# Times are UTC. Each step finds by itself what there is to do, so the next beat makes up for a missed one;
# one that waited for a whole turn is dropped.
app.conf.beat_schedule = {
    "pull": {
        "task": "finops.pull",
        "schedule": settings.FINOPS_PULL_SECONDS,
        "options": {"expires": settings.FINOPS_PULL_SECONDS},
    },
    "attribute": {"task": "finops.attribute", "schedule": crontab(minute="20"), "options": {"expires": 3600}},
    "detect": {"task": "finops.detect", "schedule": crontab(minute="40", hour="5")},
    "tidy": {"task": "finops.tidy", "schedule": crontab(minute="10", hour="3")},
    "mail owners": {
        "task": "finops.mail_owners",
        # Again and again, for what could not be sent before; no mail leaves twice.
        "schedule": crontab(minute="0", hour="7-18", day_of_week="mon"),
    },
}
