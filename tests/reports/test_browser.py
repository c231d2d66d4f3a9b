"""The pages in a real browser: accessible in light and dark, within the policy, nothing from outside."""

import os
import shutil
from collections.abc import Iterator

import pytest

from attribution import policies
from attribution.models import PolicyPreview
from ingest.models import Delivery, DeliveryFile, Problem
from tests.attribution.allocated import attributed, given
from tests.reports.conftest import costs
from tests.tables import fill

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: the pages were not opened in a browser"),
]
ARGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
PAGES = [
    "/",
    "/explorer/",
    "/explorer/?by=team&measure=cpp_loaded&model=search-model-0",
    "/explorer/?model=nothing",
    "/statements/",
    "/statements/2026-09/",
    "/statements/2026-09/of/team/search/",
    "/statements/2026-09/lines/team/search/?cost_type=usage&model=search-model-0&feature=home",
    "/bridge/2026-09/?source=aws&account=1001&step=effective&currency=USD",
    "/match/",
    "/deliveries/",
    "/deliveries/1/",
    "/explain/",
    "/explain/?start=2026-09-01&end=2026-10-01&team=search",
    "/explain/charges/?start=2026-09-01&end=2026-10-01&disposition=exclude",
    "/anomalies/",
    "/anomalies/1/",
    "/policy/",
    "/policy/versions/1/",
    "/policy/previews/1/",
    "/policy/previews/2/",
    "/explorer/?by=colour",
    "/statements/2020-01/",
]
# What the browser refused, kept where the test finds it.
LISTENER = """
window.refused = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.refused.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    # Playwright keeps an event loop in this thread, which Django takes for an async caller.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield opened
        opened.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page(browser, live_server, finance, incidents):
    """A page of a signed-in reader; at the end nothing was refused, and nothing asked of another host."""
    costs()
    held = Delivery.objects.create(
        pk=1, kind="billing", source="aws", state="held", fingerprint="f", message="7 %"
    )
    DeliveryFile.objects.create(delivery=held, name="bill.csv", path="bill.csv", sha256="ab" * 32, size=10)
    Problem.objects.create(delivery=held, file="bill.csv", line=7, reason="cost is not a number")
    policies.apply("", by="fiona", reason="the beginning")
    a_preview(1, state="waiting", stage="preview", days_done=3, days_total=30)
    a_preview(
        2,
        state="done",
        seconds=3.2,
        result={
            "days": ["2026-09-07"],
            "changes": {
                "team": [["search", "6", "5", {"idle": "-1"}], ["", "1", "2", {"idle": "1"}]],
                "pool": [],
            },
            "rules": [["default:direct", "direct", "old", "exclude", "1"]],
            "reasons": ["rule 'old' is new"],
            "totals": ["7", "6"],
        },
    )
    context = browser.new_context(base_url=live_server.url, color_scheme="light")
    context.add_init_script(LISTENER)
    opened = context.new_page()
    outside, failures = [], []
    opened.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((live_server.url, "data:", "blob:"))
            else outside.append(request.url)
        ),
    )
    opened.on("pageerror", lambda error: failures.append(str(error)))
    sign_in(opened)
    yield opened
    assert outside == []
    assert failures == []
    assert opened.evaluate("window.refused") == []
    context.close()


def a_preview(number, **state):
    PolicyPreview.objects.create(
        pk=number, fingerprint=number, text="", month="2026-09-01", snapshot=1, asked_by="fiona", **state
    )


def sign_in(page):
    page.goto("/login/")
    page.fill("#id_username", "fiona")
    page.fill("#id_password", "secret")
    page.click("button.main")


def charts_drawn(page):
    for chart in page.query_selector_all("[data-chart]"):
        page.wait_for_function("place => place.dataset.drawn", arg=chart)
        assert chart.query_selector("svg.main-svg")


def violations(page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]} ({one['nodes'][0]['failureSummary'][:200]})"
        for one in found
    ]


@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_accessible_in_light_and_dark(page, address):
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.goto(address)
        charts_drawn(page)
        assert violations(page) == [], theme


def test_the_login_page_is_accessible(page):
    page.context.clear_cookies()
    page.goto("/login/")
    assert violations(page) == []
    page.fill("#id_username", "fiona")
    page.fill("#id_password", "wrong")
    page.click("button.main")
    assert violations(page) == []


def test_the_theme_switch_redraws_the_chart(page):
    page.goto("/")
    charts_drawn(page)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    bar = "document.querySelector('.bars path').style.fill"
    before = page.evaluate(bar)
    page.click("[data-theme-switch]")
    page.click("[data-theme-switch]")
    page.wait_for_selector("[data-drawn=dark]")
    assert page.evaluate(ground) != light
    assert page.evaluate(bar) != before
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_click_on_a_value_drills_down_and_back_returns(page):
    page.goto("/explorer/?by=team")
    charts_drawn(page)
    page.click("tbody th a:text-is('search')")
    page.wait_for_url("**team=search**")
    charts_drawn(page)
    assert page.locator("#rows-title").inner_text() == "By model"
    assert page.locator(".chip").inner_text().startswith("team: search")
    page.go_back()
    page.wait_for_url("**by=team**")
    charts_drawn(page)
    assert page.locator("#rows-title").inner_text() == "By team"


def test_another_grouping_replaces_the_content_and_back_returns_with_a_chart(page):
    page.goto("/explorer/")
    charts_drawn(page)
    page.focus("#by")
    page.select_option("#by", "team")
    page.wait_for_url("**by=team**")
    page.wait_for_selector("#rows-title:text-is('By team')")
    charts_drawn(page)
    assert page.evaluate("document.activeElement.id") == "by"
    page.go_back()
    page.wait_for_selector("#rows-title:text-is('By model')")
    charts_drawn(page)


def test_a_figure_slides_its_explanation_over_the_page_and_escape_gives_it_back(page):
    page.goto("/explorer/?by=team")
    charts_drawn(page)
    figure = page.locator("tbody a[data-over]:text-is('10.00')")
    figure.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#over h1:text-is('Where a figure came from')")
    page.wait_for_selector("#over .panel :text('is not attributed')")
    assert page.url.endswith("/explorer/?by=team")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert violations(page) == [], theme
    page.click("#over tbody th a >> nth=1")  # another day, in the same place
    page.wait_for_selector("#over tr.chosen:nth-child(2)")
    page.click("[data-over-back]")
    page.wait_for_selector("#over :not(.chosen) > th a")
    page.keyboard.press("Escape")
    assert page.evaluate("document.getElementById('over').open") is False
    assert page.evaluate("document.activeElement.textContent") == "10.00"
    page.set_viewport_size({"width": 390, "height": 800})
    figure.click()
    page.wait_for_selector("#over h1")
    assert page.evaluate("document.querySelector('[data-over-body]').scrollWidth") <= 390


def test_without_script_a_figure_is_a_link_to_the_page_that_explains_it(browser, live_server, page):
    plain = browser.new_context(
        base_url=live_server.url, java_script_enabled=False, storage_state=page.context.storage_state()
    ).new_page()
    plain.goto("/explorer/?by=team")
    plain.click("tbody a[data-over]:text-is('10.00')")
    assert plain.locator("h1").inner_text() == "Where a figure came from"
    plain.context.close()


def test_nothing_of_the_figures_is_left_in_the_browser(page):
    page.goto("/explorer/")
    page.select_option("#by", "team")
    page.wait_for_url("**by=team**")
    assert page.evaluate("Object.keys(localStorage).filter(key => key !== 'theme')") == []


def test_the_keyboard_reaches_the_content_first(page):
    page.goto("/statements/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_page_fits_a_telephone(page):
    page.set_viewport_size({"width": 390, "height": 800})
    for address in PAGES:
        page.goto(address)
        charts_drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address


def test_on_a_telephone_the_names_of_machines_and_units_have_room(page):
    uuid = "GPU-5f3c2b1a-7d8e-4f90-a1b2-c3d4e5f60718"
    resource = "arn:aws:ec2:us-east-1:123456789012:instance/i-0abc123def4567890"
    given("hosts", f"host | resource_id\n h-1 | {resource}")
    hours = [f"{hour:02}:00-{hour + 1:02}:00" for hour in range(8, 20)]
    given(
        "charges",
        "resource_id | period | effective_cost\n" + "\n".join(f"{resource} | {one} | 8" for one in hours),
    )
    given(
        "gpu_samples",
        "hosts | uuid | time | busy\n" + "\n".join(f"h-1 | {uuid} | {one[:2]}:30 | 500000" for one in hours),
    )
    given(
        "requests",
        "time | model | tenant | team | gpu_uuids | gpu_micro_ms\n"
        + "\n".join(f"{one[:2]}:05 | chat | acme | search | {uuid} | 1000000" for one in hours),
    )
    attributed()
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/explain/?day=2026-01-05")
    name = page.locator("details.line .what strong").first.bounding_box()
    unit = page.locator("details.line td.breaking").first.bounding_box()
    assert name["height"] < 30
    assert unit["height"] < 60
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_billions_of_predictions_fit_their_card(page):
    fill(
        "request_days",
        """
        day        | model          | team   | requests    | failed_requests | predictions
        2026-09-08 | search-model-0 | search | 12345678901 | 1234567890      | 12345678901
        """,
    )
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto("/")
        charts_drawn(page)
        figure = page.locator(".figures a[href*='measure=predictions']")
        assert figure.inner_text() == "12.3 billion"
        assert figure.locator("span").get_attribute("title") == "12,345,678,919"
        beyond = "[...document.querySelectorAll('.figures > div')].filter(one => one.scrollWidth > one.clientWidth)"
        assert page.evaluate(f"{beyond}.map(one => one.textContent)") == [], width


def test_the_admin_of_people_works_within_the_policy(page, finance):
    finance.is_staff = finance.is_superuser = True
    finance.save()
    page.goto("/admin/auth/user/")
    assert page.locator("#result_list").is_visible()
