"""The serving benchmark on a small organisation: every page is answered, and a day is attributed meanwhile."""

from bench import serving


def test_readers_are_answered_while_a_day_is_attributed(tmp_path):
    found = serving.run(tmp_path / "data", seconds=3, readers=3, starts=1, days=3, tenants=30, requests=2000)
    assert found["errors"] == []
    assert found["attributions"]
    assert found["pages"]["overview"]["pages"] > 1
    assert found["first page"]["page"] > 0
