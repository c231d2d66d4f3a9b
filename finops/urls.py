"""Every address of the program."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from finops.views import policy
from finops.views.charges import charges
from finops.views.deliveries import accept_delivery, reject_delivery
from finops.views.explain import explain
from finops.views.requests import requests, requests_csv
from reports.views.health import healthz

urlpatterns = [
    path(
        "login/",
        LoginView.as_view(template_name="login.html", redirect_authenticated_user=True),
        name="login",
    ),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("deliveries/<int:number>/accept", accept_delivery, name="accept_delivery"),
    path("deliveries/<int:number>/reject", reject_delivery, name="reject_delivery"),
    path("explain/", explain, name="explain"),
    path("explain/requests/", requests, name="explain_requests"),
    path("explain/requests.csv", requests_csv, name="explain_requests_csv"),
    path("explain/charges/", charges, name="explain_charges"),
    path("policy/", policy.policy, name="policy"),
    path("policy/preview", policy.try_out, name="try_policy"),
    path("policy/previews/<int:number>/", policy.preview, name="policy_preview"),
    path("policy/previews/<int:number>/table.csv", policy.preview_csv, name="policy_preview_csv"),
    path("policy/previews/<int:number>/apply", policy.apply, name="apply_policy"),
    path("policy/versions/<int:number>/", policy.version, name="policy_version"),
    path("", include("reports.urls")),
]
