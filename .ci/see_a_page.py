"""Log in to the demo as finance and read the first page: `see_a_page.py http://127.0.0.1:8000`."""

import http.cookiejar
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

site = sys.argv[1]
jar = http.cookiejar.CookieJar()
browser = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar)
)
patience = time.monotonic() + 60
while True:
    try:
        browser.open(f"{site}/login/").read()
        break
    except urllib.error.URLError:  # announced a moment before it listens
        if time.monotonic() > patience:
            raise
        time.sleep(0.5)
token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
form = {"username": "finance", "password": "demo", "csrfmiddlewaretoken": token or "", "next": "/"}
page = browser.open(f"{site}/login/", urllib.parse.urlencode(form).encode())
text = page.read().decode()
sys.stdout.write(f"{page.geturl()}: {page.status}, {len(text):,} characters\n")
sys.exit(0 if page.status == 200 and page.geturl() == f"{site}/" and "USD" in text else 1)
