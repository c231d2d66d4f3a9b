"""No more weekly mails: the link in each of them, and the button of the mail program (RFC 8058)."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from finops.core.errors import UsageError
from reports import emails


@csrf_exempt  # the signed link is the permission; mail programs post without a session
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Looking (as link scanners do) only asks; a POST does it, without a login, and another takes it back."""
    try:
        email = emails.owner_of(token)
    except UsageError as error:
        return render(request, "emails/unsubscribe.html", {"error": error}, status=404)
    again = "again" in request.POST
    if again:
        emails.subscribe_again(email)
    elif request.method == "POST":
        emails.unsubscribe(email)
    context = {"email": email, "again": again, "unsubscribed": emails.is_unsubscribed(email)}
    return render(request, "emails/unsubscribe.html", context)
