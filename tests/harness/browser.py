"""A browser without a screen: cookies by host, redirects one by one, forms as people fill them in."""

import html
import http.client
import re
import urllib.parse


class Page:
    """What came back, and where the browser is."""

    def __init__(self, url, status, headers, text):
        self.url, self.status, self.headers, self.text = url, status, headers, text

    def form(self, **filled):
        """The first form with its fields; those of the page stay where nothing is filled in."""
        found = re.search(r"<form\b([^>]*)>(.*?)</form>", self.text, re.S)
        assert found, f"no form at {self.url}: {self.text[:2000]}"
        action = re.search(r'action="([^"]*)"', found[1])
        place = urllib.parse.urljoin(self.url, html.unescape(action[1]) if action else self.url)
        fields = {}
        for tag in re.findall(r"<input\b[^>]*>", found[2]):
            name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
            if name:
                fields[html.unescape(name[1])] = html.unescape(value[1]) if value else ""
        return place, {**fields, **filled}


class Browser:
    """Follows redirects until there is a page, or until one leads to a place that `stop` knows."""

    def __init__(self):
        self.cookies = {}

    def get(self, url, stop=None):
        return self.go("GET", url, None, stop)

    def submit(self, page, stop=None, **filled):
        place, fields = page.form(**filled)
        return self.go("POST", place, urllib.parse.urlencode(fields), stop, origin=page.url)

    def go(self, method, url, body=None, stop=None, origin=None):
        for _ in range(20):
            page = self.once(method, url, body, origin)
            place = page.headers.get("location")
            if page.status not in (301, 302, 303, 307) or not place:
                return page
            url, method, body = urllib.parse.urljoin(url, place), "GET", None
            if stop and url.startswith(stop):
                return Page(url, page.status, page.headers, "")
        raise RuntimeError(f"redirects without end, now {url}")

    def once(self, method, url, body=None, origin=None):
        """One request, as a browser sends it, without following."""
        parts = urllib.parse.urlsplit(url)
        jar = self.cookies.setdefault(parts.netloc, {})
        headers = {"accept": "text/html,*/*;q=0.8"}
        if jar:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        if body is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
            source = urllib.parse.urlsplit(origin or url)
            headers["origin"] = f"{source.scheme}://{source.netloc}"
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        try:
            place = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, place or "/", body, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
        for line in answer.headers.get_all("set-cookie") or []:
            name, _, value = line.split(";")[0].partition("=")
            gone = "max-age=0" in line.lower().replace(" ", "") or "01 jan 1970" in line.lower() or not value
            jar.pop(name.strip(), None) if gone else jar.__setitem__(name.strip(), value)
        return Page(url, answer.status, {name.lower(): value for name, value in answer.headers.items()}, text)
