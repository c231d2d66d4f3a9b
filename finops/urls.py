"""Every address of the program."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from finops.views import accept_delivery, explain, reject_delivery
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
    path("", include("reports.urls")),
]
