// Uses the WebSockets of node_app.js or ws_app.py through ws.
//
//     node ws_client.js wss://node.localhost:PORT/socket ROOT.PEM
"use strict";

const assert = require("assert");
const crypto = require("crypto");
const fs = require("fs");
const { once } = require("events");
const WebSocket = require("ws");

const [url, root] = process.argv.slice(2);
const origin = "https://" + new URL(url).host;

// open connects, and returns the socket with a way to get the next message.
async function open() {
	const ws = new WebSocket(url, ["v1.app", "v2.app"], { ca: fs.readFileSync(root), origin, perMessageDeflate: { threshold: 0 } });
	const queue = [], waiting = [];
	ws.on("message", (data, binary) => {
		const message = binary ? data : data.toString();
		waiting.length ? waiting.shift()(message) : queue.push(message);
	});
	const next = () => (queue.length ? Promise.resolve(queue.shift()) : new Promise((resolve) => waiting.push(resolve)));
	await once(ws, "open");
	return { ws, next, hello: JSON.parse(await next()) };
}

async function closed(ws) {
	const [code, reason] = await once(ws, "close");
	return `${code} ${reason}`;
}

(async () => {
	const { ws, next, hello } = await open();
	assert.strictEqual(ws.protocol, "v2.app");
	assert.match(ws.extensions, /permessage-deflate/);
	assert.match(hello.headers["sec-websocket-extensions"], /permessage-deflate/);
	assert.deepStrictEqual(
		[hello.headers.host, hello.headers.origin, hello.headers["x-forwarded-proto"], hello.headers["x-forwarded-for"]],
		[new URL(url).host, origin, "https", "127.0.0.1"],
	);
	const big = crypto.randomBytes(1 << 20);
	for (const message of ["acorn", "Eichhörnchen 🐿", Buffer.from([0, 1, 2, 255]), Buffer.alloc(0), big, "x".repeat(1 << 20)]) {
		ws.send(message);
		assert.deepStrictEqual(await next(), message);
	}
	ws.ping("client");
	assert.strictEqual(String((await once(ws, "pong"))[0]), "client");
	ws.send("ping me");
	assert.strictEqual(await next(), "pong acorn");
	ws.send("close");
	assert.strictEqual(await closed(ws), "4001 server is done");

	const second = await open();
	second.ws.close(4002, "client is done");
	assert.strictEqual(await closed(second.ws), "4002 client is done");
	const third = await open();
	third.ws.send("last");
	assert.strictEqual(await third.next(), "4002 client is done");
	third.ws.send("break");
	assert.strictEqual(await closed(third.ws), "1006 ");
})().catch((err) => {
	console.error(err);
	process.exit(1);
});
