"""The policy's versions: applying one puts its text in force beside the others."""

from contextlib import closing

from attribution.policy import parse
from attribution.world import policy_text
from finops.core import warehouse


def apply(text: str) -> tuple[int, bool]:
    """Check the text and put it in force as the next version; the version, and whether it is new.

    Raises PolicyError. The text that is already in force changes nothing.
    """
    parse(text)
    while True:
        snapshot = warehouse.latest()
        version, current = policy_text(snapshot)
        if version and current == text:
            return version, False
        with closing(warehouse.connect(threads=1)) as con:
            file = warehouse.write(
                con,
                "policy",
                warehouse.partition("policy"),
                "select $version as version, $text as text",
                {"version": version + 1, "text": text},
            )
        try:
            warehouse.commit([file], computed_from=snapshot, note=f"policy version {version + 1}")
        except warehouse.Overtaken:
            continue
        return version + 1, True
