"""`ingest KIND FILE…`: one delivery of a bill, of metrics, of requests or of a table."""

from argparse import ArgumentParser
from typing import Any

from finops.core.command import Command as BaseCommand
from ingest.deliveries import Outcome, deliver

FORMATS = {
    "billing": ["auto", "focus"],
    "gpu": ["auto", "prometheus", "exposition", "csv", "parquet"],
    "requests": ["auto", "jsonl", "csv", "parquet"],
}
HELP = {
    "billing": "FOCUS 1.0 to 1.3, in CSV or Parquet: files, a folder or a manifest",
    "gpu": "DCGM metrics: Prometheus query_range JSON, exposition text, CSV or Parquet",
    "requests": "per-request logs: JSON lines, CSV or Parquet",
    "hosts": "the host inventory (CSV: host,resource_id[,valid_from,valid_to])",
    "owners": "who owns what (CSV: kind,name,team,cost_center,owner_email,valid_from,valid_to)",
    "rates": "currency rates (CSV: date,currency,rate)",
}


class Command(BaseCommand):
    help = "Load one delivery: files may be .gz or .zst; - is standard input."

    def add_arguments(self, parser: ArgumentParser) -> None:
        kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
        for kind, text in HELP.items():
            one = kinds.add_parser(kind, help=text, description=text)
            one.add_argument("files", nargs="+", metavar="FILE")
            one.add_argument(
                "--source",
                default="",
                help="whose data it is; default: "
                + ("provider and billing account, row by row" if kind == "billing" else "default"),
            )
            if kind in FORMATS:
                one.add_argument("--format", default="auto", choices=FORMATS[kind])
            if kind == "billing":
                one.add_argument(
                    "--expect-total",
                    default="",
                    metavar="N",
                    help="hold the bill where neither its effective nor its billed cost is N",
                )

    def handle(self, *args: Any, **options: Any) -> None:
        with self.progress() as progress:
            outcome = deliver(
                options["kind"],
                options["files"],
                source=options["source"],
                format=options.get("format") or "auto",
                expected_total=str(options.get("expect_total") or ""),
                report=progress,
            )
        self.stdout.write(summary(outcome))


def summary(outcome: Outcome) -> str:
    """One screen about one delivery."""
    delivery = outcome.delivery
    names = [file.name for file in delivery.files.all()[:4]]
    shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    if outcome.already_there:
        return f"{shown}: already there (delivery {delivery.pk}); nothing changes"
    lines = [f"{delivery.kind} delivery {delivery.pk}: {delivery.rows:,} rows loaded from {shown}"]
    if delivery.duplicate_rows:
        lines.append(f"  {delivery.duplicate_rows:,} rows were there already")
    if delivery.bad_rows:
        lines.append(f"  {delivery.bad_rows:,} rows with a problem, the first of them:")
        lines += [f"    {problem}" for problem in delivery.problems.all()[:5]]
        lines.append(f"    all of them: deliveries show {delivery.pk}")
    if delivery.total:
        lines.append(f"  effective cost: {delivery.total}")
    if delivery.newest_day:
        lines.append(f"  newest day: {delivery.newest_day}")
    lines += [f"  {note}" for note in outcome.notes]
    return "\n".join(lines)
