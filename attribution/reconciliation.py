"""The promises: nothing is published unless every cent in is a cent out."""

from decimal import Decimal

from duckdb import DuckDBPyConnection

from attribution import steps
from finops.core import warehouse
from finops.core.errors import FinopsError
from finops.core.money import plain


class NotConserved(FinopsError):
    """Allocations do not sum to their charges. A defect of ours, never of the input."""


def require_conserved(con: DuckDBPyConnection) -> None:
    """Every group of charges equals the sum of its allocations, to the last place."""
    steps.run(con, "drift")
    drift = con.execute("from drift").fetchall()
    if drift:
        source, account, resource, window, charged, allocated = drift[0]
        raise NotConserved(
            f"{source} {account} {resource or 'no resource'} at {window}: charged {charged}, allocated {allocated}; "
            f"{len(drift)} such groups"
        )


def require_written(con: DuckDBPyConnection, allocations: warehouse.NewFile) -> tuple[Decimal, Decimal]:
    """The charges in scope and the written allocations, both summed anew from what lies on disk.

    Raises NotConserved, naming the bill whose sums differ.
    """
    warehouse.view(con, allocations.dataset, [allocations], name="written")
    rows = con.execute(
        """
        with bill as (
            select source, billing_account, billing_period, service_category, sum(to_cost(converted_pico)) as cost
            from part
            where disposition in ('direct', 'model', 'api', 'pool')
            group by all
        ),
        allocated as (
            select source, billing_account, billing_period, service_category, sum(cost) as cost
            from written
            group by all
        )
        select source, billing_account, billing_period, service_category,
            coalesce(bill.cost, 0), coalesce(allocated.cost, 0)
        from bill
        full join allocated using (source, billing_account, billing_period, service_category)
        """
    ).fetchall()
    charged = sum((row[4] for row in rows), Decimal(0))
    allocated = sum((row[5] for row in rows), Decimal(0))
    for *bill, one, other in rows:
        if one != other:
            raise NotConserved(f"{' '.join(bill)}: charged {plain(one)}, written {plain(other)}")
    return charged, allocated
