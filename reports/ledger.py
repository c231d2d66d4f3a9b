"""The ledger's CSV: one row per statement line, with the cost centre that bears it."""

import csv
import io

from reports.statements import Month

COLUMNS = (
    "period",
    "version",
    "statement",
    "team",
    "cost_center",
    "cost_type",
    "model",
    "feature",
    "pool",
    "reason",
    "charge_class",
    "charge_billing_period",
    "charge_period_start",
    "charge_period_end",
    "amount",
    "currency",
    "description",
)


def ledger_csv(month: Month) -> str:
    """The month's lines in the order of its statements; the amounts sum to the month's.

    Ends are excluded. A correction that comes to nothing in cents is left out. What a closed
    month's reader of everything gets is the text that was kept when it was closed.
    """
    if month.closed and month.bill is not None:
        return month.closed.ledger
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    lines = (line for one in month.statements for line in (*one.lines, *one.corrections))
    for line in lines:
        key = line.key
        writer.writerow(
            (
                month.period,
                month.version,
                key.statement,
                key.team,
                line.cost_center,
                key.cost_type,
                key.model,
                key.feature,
                key.pool,
                key.reason,
                line.charge_class,
                line.period,
                line.charge_period_start,
                line.charge_period_end,
                f"{line.amount:f}",
                month.currency,
                line.description,
            )
        )
    return out.getvalue()
