"""The REST door: the rows of `export allocations`, in a reader's scope."""

from datetime import date
from typing import Any

import duckdb
from django.conf import settings
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException, ParseError
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from finops.core import warehouse
from finops.core.access import scope_of
from finops.core.datasets import KEYS
from finops.core.errors import UsageError
from finops.core.periods import parse_day, parse_month
from reports import exports, queries
from reports.filters import one_of
from reports.selection import GRAINS, Selection
from reports.views.access import reading_page, too_long

MOST_ROWS = 10_000


class TooLong(APIException):
    status_code = 503


class Allocations(APIView):
    """`?start=&end=&grain=&by=KEY,…&billing_period=` and any key as a filter; at most 10,000 rows."""

    authentication_classes = [SessionAuthentication, BasicAuthentication]
    permission_classes = [IsAuthenticated]
    renderer_classes = [JSONRenderer]

    def get(self, request: Request) -> Response:
        try:
            selection = _selection(request)
        except UsageError as error:
            raise ParseError(str(error)) from error
        try:
            with reading_page(request.method), warehouse.reading() as con:
                queries.load_allocations(con, selection)
                found = con.execute(f"{exports.allocation_rows(selection)} limit {MOST_ROWS + 1}")
                names = [column[0] for column in found.description or []]
                rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        except duckdb.InterruptException as error:
            raise TooLong(too_long()) from error
        if len(rows) > MOST_ROWS:
            raise ParseError(f"more than {MOST_ROWS:,} rows: ask for fewer days, keys or a coarser grain")
        return Response({"currency": settings.FINOPS_CURRENCY, "rows": [_written(row) for row in rows]})


def _selection(request: Request) -> Selection:
    data = request.query_params
    return Selection(
        _day(data.get("start"), "start"),
        _day(data.get("end"), "end"),
        one_of(data.get("grain", "day"), GRAINS, "a grain"),
        tuple(key for key in data.get("by", "").split(",") if key),
        {key: tuple(data.getlist(key)) for key in KEYS if key in data},
        _month(data.get("billing_period", "")),
        scope_of(request.user),
    )


def _day(text: str | None, name: str) -> date:
    if not text:
        raise UsageError(f"{name} is missing: expected YYYY-MM-DD")
    return parse_day(text)


def _month(text: str) -> str:
    if text:
        parse_month(text)
    return text


def _written(row: dict[str, Any]) -> dict[str, Any]:
    """Money as text, as in the exports: a number would lose digits in most readers."""
    return {
        name: f"{value:f}" if name in ("cost", "gpu_seconds") and value is not None else value
        for name, value in row.items()
    }
