"""The pages of reports."""

from django.urls import path

from reports.views import anomalies, api, deliveries, explorer, matching, overview, statements
from reports.views.unsubscribe import unsubscribe

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("explorer/", explorer.explorer, name="explorer"),
    path("explorer/table.csv", explorer.explorer_csv, name="explorer_csv"),
    path("statements/", statements.months, name="statements"),
    path("statements/<str:period>/", statements.month, name="month"),
    path("statements/<str:period>/ledger.csv", statements.ledger, name="ledger"),
    path("statements/<str:period>/close", statements.close, name="close_month"),
    path("statements/<str:period>/reopen", statements.reopen, name="reopen_month"),
    path("statements/<str:period>/of/<path:slug>/", statements.statement, name="statement"),
    path("statements/<str:period>/lines/<path:slug>/", statements.line, name="line"),
    path("bridge/<str:period>/", statements.bridge_step, name="bridge_step"),
    path("match/", matching.match_report, name="match_report"),
    path("deliveries/", deliveries.deliveries, name="deliveries"),
    path("deliveries/<int:number>/", deliveries.delivery, name="delivery"),
    path("anomalies/", anomalies.anomalies, name="anomalies"),
    path("anomalies/<int:number>/", anomalies.anomaly, name="anomaly"),
    path("anomalies/<int:number>/state", anomalies.set_state, name="anomaly_state"),
    path("unsubscribe/<str:token>/", unsubscribe, name="unsubscribe"),
    path("api/allocations", api.Allocations.as_view(), name="api_allocations"),
]
