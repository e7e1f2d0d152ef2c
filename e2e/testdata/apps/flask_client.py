"""Uses flask_app.py as a Python program does: requests, and urllib.

    flask_client.py https://flask.localhost:PORT ROOT.PEM
"""

import hashlib
import http.cookiejar
import os
import ssl
import sys
import urllib.parse
import urllib.request

import requests

base, root = sys.argv[1:]


def equal(got, want):
    if got != want:
        sys.exit(f"got {got!r}, want {want!r}")


def with_requests():
    client = requests.Session()
    client.verify = root

    reply = client.post(base + "/login", data={"name": "squirrel"}, timeout=20)
    equal([r.status_code for r in reply.history] + [reply.status_code], [303, 200])
    equal((reply.url, reply.text), (base + "/me", "squirrel"))
    equal([cookie.secure for cookie in client.cookies], [True])
    equal(client.get(base + "/seen", timeout=20).json()["page"], base + "/seen")

    data = os.urandom(3 << 20)
    digest = hashlib.sha256(data).hexdigest()
    got = client.post(base + "/upload", data=data, timeout=20).json()
    equal((got["sha256"], got["length"]), (digest, str(len(data))))
    blocks = (data[i : i + 50_000] for i in range(0, len(data), 50_000))
    got = client.post(base + "/upload", data=blocks, timeout=20).json()
    equal((got["sha256"], got["encoding"]), (digest, "chunked"))

    with client.get(base + "/pieces/requests", stream=True, timeout=20) as reply:
        lines = reply.iter_lines(chunk_size=1)
        for i in range(3):
            equal(next(lines), b"piece %d" % i)
            equal(requests.post(base + "/ack/requests", verify=root, timeout=20).status_code, 204)
        equal(list(lines), [])

    equal(client.head(base + "/file", timeout=20).headers["Content-Length"], "100000")
    equal(client.get(base + "/file", headers={"Range": "bytes=0-9"}, timeout=20).status_code, 206)


def with_urllib():
    jar = http.cookiejar.CookieJar()
    context = ssl.create_default_context(cafile=root)
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor(jar)
    )
    form = urllib.parse.urlencode({"name": "hedgehog"}).encode()
    with opener.open(base + "/login", form, timeout=20) as reply:
        equal((reply.url, reply.read()), (base + "/me", b"hedgehog"))
    equal([cookie.secure for cookie in jar], [True])
    with opener.open(base + "/file", timeout=20) as reply:
        equal(len(reply.read()), 100_000)


with_requests()
with_urllib()
