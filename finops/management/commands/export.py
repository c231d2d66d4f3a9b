"""`export allocations` and `export charges`: the warehouse's figures as files."""

import os
import shutil
import sys
import tempfile
from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from finops.core.command import Command as Base
from finops.core.datasets import KEYS
from finops.core.errors import FinopsError
from finops.core.periods import parse_day, parse_month
from reports import exports
from reports.selection import GRAINS, Selection


class Command(Base):
    help = (
        "Write allocations or the normalised bill as CSV, Parquet or JSON. Dates are UTC days, ends excluded."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        allocations = what.add_parser("allocations", help="cost by key, cost type and period")
        allocations.add_argument("--grain", choices=GRAINS, required=True)
        allocations.add_argument("--by", default="", metavar="KEY[,KEY…]", help=f"of {', '.join(KEYS)}")
        allocations.add_argument(
            "--billing-period", default="", metavar="YYYY-MM", help="costs of one bill alone"
        )
        allocations.add_argument("--excluded", action="store_true", help="the excluded charges instead")
        allocations.add_argument("--format", choices=("csv", "parquet", "json", "focus"), default="csv")
        charges = what.add_parser("charges", help="the normalised bill")
        charges.add_argument("--source", default="", help="of one source alone")
        charges.add_argument("--format", choices=("csv", "parquet"), default="csv")
        for parser in (allocations, charges):
            parser.add_argument("--start", required=True, metavar="YYYY-MM-DD", help="the first day")
            parser.add_argument("--end", required=True, metavar="YYYY-MM-DD", help="the day after the last")
            parser.add_argument(
                "-o", "--output", default="-", metavar="FILE", help="standard output where missing"
            )

    def handle(self, *args: Any, **options: Any) -> None:
        start, end = parse_day(options["start"]), parse_day(options["end"])
        if options["output"] != "-":
            target = Path(options["output"])
            try:
                rows = write(target, start, end, options)
            except (duckdb.IOException, OSError) as error:
                if target.parent.is_dir() and not target.is_dir() and os.access(target.parent, os.W_OK):
                    raise
                raise FinopsError(
                    f"{target}: cannot be written: no such folder, or no right to write in it"
                ) from error
            self.stderr.write(f"{rows:,} rows in {options['output']}")
            return
        with tempfile.NamedTemporaryFile() as file:
            write(Path(file.name), start, end, options)
            with open(file.name, "rb") as finished:
                sys.stdout.flush()
                shutil.copyfileobj(finished, sys.stdout.buffer)


def write(target: Path, start: date, end: date, options: dict[str, Any]) -> int:
    """Write what the command line asks for; the number of rows."""
    if options["what"] == "charges":
        return exports.write_charges(start, end, options["source"], target, options["format"])
    if options["billing_period"]:
        parse_month(options["billing_period"])
    selection = Selection(
        start,
        end,
        options["grain"],
        tuple(key.strip() for key in options["by"].split(",") if key.strip()),
        billing_period=options["billing_period"],
    )
    write_one = exports.write_excluded if options["excluded"] else exports.write_allocations
    return write_one(selection, target, options["format"])
