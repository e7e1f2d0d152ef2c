"""Uses the WebSockets of node_app.js or ws_app.py through Python's websockets.

    ws_client.py wss://node.localhost:PORT/socket ROOT.PEM
"""

import asyncio
import json
import os
import ssl
import sys
import urllib.parse

import websockets

url, root = sys.argv[1:]
host = urllib.parse.urlsplit(url).netloc
context = ssl.create_default_context(cafile=root)


def equal(got, want):
    if got != want:
        sys.exit(f"got {str(got)[:200]!r}, want {str(want)[:200]!r}")


def connect():
    return websockets.connect(
        url, ssl=context, origin="https://" + host, subprotocols=["v1.app", "v2.app"], max_size=4 << 20
    )


async def closed(ws):
    await ws.wait_closed()
    return f"{ws.close_code} {ws.close_reason}"


async def main():
    async with connect() as ws:
        headers = json.loads(await ws.recv())["headers"]
        equal(ws.subprotocol, "v2.app")
        equal([extension.name for extension in ws.extensions], ["permessage-deflate"])
        equal("permessage-deflate" in headers["sec-websocket-extensions"], True)
        seen = [headers[name] for name in ("host", "origin", "x-forwarded-proto", "x-forwarded-for")]
        equal(seen, [host, "https://" + host, "https", "127.0.0.1"])
        for message in ["acorn", "Eichhörnchen 🐿", b"\0\1\2\xff", b"", os.urandom(1 << 20), "x" * (1 << 20)]:
            await ws.send(message)
            equal(await ws.recv(), message)
        await (await ws.ping("client"))
        await ws.send("ping me")
        equal(await ws.recv(), "pong acorn")
        await ws.send("close")
        equal(await closed(ws), "4001 server is done")

    async with connect() as ws:
        await ws.recv()
        await ws.close(4002, "client is done")
        equal(await closed(ws), "4002 client is done")
    async with connect() as ws:
        await ws.recv()
        await ws.send("last")
        equal(await ws.recv(), "4002 client is done")
        await ws.send("break")
        equal((await closed(ws))[:4], "1006")


asyncio.run(asyncio.wait_for(main(), 30))
