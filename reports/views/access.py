"""Who may open a page, and what a reader sees of a mistake."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec

import duckdb
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from finops.core import warehouse
from finops.core.access import roles_of, scope_of
from finops.core.errors import FinopsError, NotThere, UsageError, in_words

log = logging.getLogger(__name__)
Given = ParamSpec("Given")
View = Callable[Concatenate[HttpRequest, Given], HttpResponse]


@contextmanager
def reading_page(method: str | None) -> Iterator[None]:
    """A page reads one state, and computes only so long. What changes something is let finish, and sees what it did."""
    if method != "GET":
        yield
        return
    with warehouse.one_state(), warehouse.time_limit(settings.FINOPS_PAGE_SECONDS):
        yield


def _require_text(request: HttpRequest) -> None:
    """Raises UsageError where a value holds what no text has, and PostgreSQL refuses."""
    for data in (request.GET, request.POST):
        for name, values in data.lists():
            if any("\x00" in value for value in values):
                raise UsageError(f"{name} has a character that no text has (NUL)")


def too_long() -> str:
    return (
        f"It took longer than {settings.FINOPS_PAGE_SECONDS} seconds and was stopped. Ask for fewer days, a coarser "
        "grain or fewer values; whole years by the hour are for `manage.py export`, which has no limit."
    )


def page(view: View[Given]) -> View[Given]:
    """Behind the login; what a user can put right is shown in words, not as a failure of ours."""

    @wraps(view)
    def shown(request: HttpRequest, /, *args: Given.args, **kwargs: Given.kwargs) -> HttpResponse:
        try:
            _require_text(request)
            with reading_page(request.method):
                return view(request, *args, **kwargs)
        except duckdb.InterruptException:
            context = {"title": "That took too long", "text": too_long()}
            return render(request, "error.html", context, status=503)
        except duckdb.Error as error:
            said = in_words(error)
            if said is None:
                raise
            log.exception("%s", request.path)
            return render(request, "error.html", {"title": "That did not work", "text": said}, status=409)
        except Http404:  # also where DEBUG would show what a developer wants to see
            return render(request, "404.html", status=404)
        except NotThere as error:
            return render(request, "error.html", {"title": "That is not there", "text": error}, status=404)
        except UsageError as error:
            return render(request, "error.html", {"title": "That cannot be shown", "text": error}, status=400)
        except FinopsError as error:
            return render(request, "error.html", {"title": "That did not work", "text": error}, status=409)

    return login_required(shown)


def whole_bill(view: View[Given]) -> View[Given]:
    """For readers who see everything; to others there is no such page."""

    @wraps(view)
    def shown(request: HttpRequest, /, *args: Given.args, **kwargs: Given.kwargs) -> HttpResponse:
        if scope_of(request.user).teams is not None:
            raise Http404
        return view(request, *args, **kwargs)

    return page(shown)


def by_role(*roles: str) -> Callable[[View[Given]], View[Given]]:
    """For these roles (a superuser has them all); to others there is no such page."""

    def decorate(view: View[Given]) -> View[Given]:
        @wraps(view)
        def shown(request: HttpRequest, /, *args: Given.args, **kwargs: Given.kwargs) -> HttpResponse:
            if not roles_of(request.user) & set(roles):
                raise Http404
            return view(request, *args, **kwargs)

        return page(shown)

    return decorate
