"""What a reader sees who asks for a version of a month that there is not."""

from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from reports.billing_periods import NoSuchVersion
from reports.views.access import Given, View


def of_version(view: View[Given]) -> View[Given]:
    """A page that may be asked for as a month was closed."""

    @wraps(view)
    def shown(request: HttpRequest, /, *args: Given.args, **kwargs: Given.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except NoSuchVersion as error:
            context = {"title": "There is no such version", "text": error}
            return render(request, "error.html", context, status=404)

    return shown
