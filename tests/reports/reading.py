"""What a test reads off an answer."""

import csv
import io
import re
from html import unescape


def shown(html):
    """The figures of a page that open an explanation: its address, and the figure as it is written."""
    return [
        (unescape(to), text)
        for to, text in re.findall(r'<a href="(/explain/[^"]*)" data-over>([^<]+)</a>', html)
    ]


def rows_of(response):
    return list(csv.DictReader(io.StringIO(response.content.decode())))
