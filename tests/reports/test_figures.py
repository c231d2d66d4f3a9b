"""Figures as pages write them."""

from datetime import date
from decimal import Decimal

import pytest
from django.utils.html import strip_tags

from reports.templatetags import figures


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1234567.125", "1,234,567.13"),
        ("-0.125", "−0.13"),
        ("-0.004", "0.00"),
        ("0", "0.00"),
    ],
)
def test_money_is_rounded_half_up_and_a_nothing_has_no_sign(amount, text):
    assert figures.money(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("currencies", "text"),
    [
        ("USD EUR CHF MGA MRU", "1,234.57"),
        ("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF", "1,235"),
        ("BHD IQD JOD KWD LYD OMR TND", "1,234.568"),
        ("CLF UYW", "1,234.5679"),
    ],
)
def test_money_has_the_places_of_its_currency(settings, currencies, text):
    for currency in currencies.split():
        settings.FINOPS_CURRENCY = currency
        assert figures.money(Decimal("1234.56789")) == text, currency


def test_a_change_has_a_sign_and_a_nothing_has_none():
    assert [figures.signed_money(Decimal(one)) for one in ("12.5", "-1", "0.001")] == [
        "+12.50",
        "−1.00",
        "0.00",
    ]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.0000123456", "0.0000123"),
        ("0.14", "0.140"),
        ("1234.5", "1,234.50"),
        ("0", "0"),
        ("2.925", "2.93"),
        ("-0.0012345", "−0.00123"),
        ("0.0001235", "0.000124"),
    ],
)
def test_a_unit_cost_shows_three_digits_that_say_something(amount, text):
    assert figures.unit_cost(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (9_999_999, "9,999,999"),
        (10_000_000, "10.0 million"),
        (12_345_678_919, "12.3 billion"),
        (12_350_000_000, "12.4 billion"),
        (999_499_999, "999 million"),
        (999_500_000, "1.00 billion"),
        (1_234_500_000_000_000, "1,230 trillion"),
    ],
)
def test_a_large_count_is_told_in_three_digits_and_whole_under_the_pointer(number, text):
    written = figures.abbreviated(number)
    assert strip_tags(written) == text
    assert number < 10**7 or f'title="{number:,}"' in written


@pytest.mark.parametrize(
    ("start", "end", "text", "with_year"),
    [
        ("2026-10-03", "2026-10-04", "3 October", "3 October 2026"),
        ("2026-10-01", "2026-11-01", "1–31 October", "1–31 October 2026"),
        ("2026-09-28", "2026-10-04", "28 September – 3 October", "28 September – 3 October 2026"),
        ("2025-12-20", "2026-10-06", *["20 December 2025 – 5 October 2026"] * 2),
        ("2025-10-20", "2026-10-06", *["20 October 2025 – 5 October 2026"] * 2),
    ],
)
def test_days_of_two_years_name_both(start, end, text, with_year):
    span = date.fromisoformat(start), date.fromisoformat(end)
    assert (figures.days(*span), figures.days(*span, year=True)) == (text, with_year)


def test_no_figure_is_a_dash():
    assert {figures.money(None), figures.unit_cost(None), figures.count(None), figures.share(None)} == {"–"}


def test_days_next_to_each_other_with_one_reason_are_said_once():
    reasons = {date(2026, 9, day): "no bill" if day < 9 else "no logs" for day in (7, 8, 9, 12)}
    assert [(start.day, end.day, reason) for start, end, reason in figures.spans(reasons)] == [
        (7, 9, "no bill"),
        (9, 10, "no logs"),
        (12, 13, "no logs"),
    ]
