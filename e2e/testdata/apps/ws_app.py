"""The WebSockets of node_app.js, by Python's websockets.

    ws_app.py PORT
"""

import asyncio
import json
import sys

import websockets

last = "none"  # how the last client closed


async def serve(ws):
    global last
    headers = {name.lower(): value for name, value in ws.request_headers.items()}
    await ws.send(json.dumps({"headers": headers, "extensions": [e.name for e in ws.extensions]}))
    try:
        async for message in ws:
            if message == "ping me":
                await (await ws.ping("acorn"))
                await ws.send("pong acorn")
            elif message == "close":
                await ws.close(4001, "server is done")
            elif message == "break":
                ws.transport.abort()
            elif message == "last":
                await ws.send(last)
            else:
                await ws.send(message)
    finally:
        last = f"{ws.close_code} {ws.close_reason}"


async def main():
    async with websockets.serve(serve, "127.0.0.1", int(sys.argv[1]), subprotocols=["v2.app"], max_size=4 << 20):
        await asyncio.Future()


asyncio.run(main())
