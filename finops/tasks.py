"""The pipeline's Celery doors. Without a broker they run in the calling process."""

from celery import shared_task
from django.db import OperationalError

from finops import pipeline, previews
from finops.celery import app as app  # with its settings: without it, shared tasks know of no broker

_again = {"autoretry_for": (OperationalError,), "retry_backoff": True, "max_retries": 5}


@shared_task(name="finops.pull", **_again)
def pull() -> int:
    """What is new in the landing zone; where something was, attribution follows at once."""
    loaded = pipeline.pull()
    if loaded:
        attribute.delay()
    return loaded


@shared_task(name="finops.attribute", **_again)
def attribute() -> int:
    return len(pipeline.attribute_outdated().attributed)


@shared_task(name="finops.preview_policy", **_again)
def preview_policy(number: int) -> None:
    previews.run(number)


@shared_task(name="finops.detect", **_again)
def detect() -> int:
    return pipeline.detect()


@shared_task(name="finops.mail_owners", **_again)
def mail_owners() -> int:
    return pipeline.mail_owners()


@shared_task(name="finops.tidy", **_again)
def tidy() -> None:
    pipeline.tidy()
