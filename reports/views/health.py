"""Whether the program can answer: for load balancers, without login."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from finops.core import warehouse


@require_GET
def healthz(request: HttpRequest) -> JsonResponse:
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        snapshot = warehouse.latest()
    except DatabaseError as error:
        return JsonResponse({"status": "down", "reason": type(error).__name__}, status=503)
    return JsonResponse({"status": "ok", "snapshot": snapshot})
