// Uses node_app.js through Node's own clients, HTTP/1.1 and HTTP/2.
//
//     node node_client.js https://node.localhost:PORT ROOT.PEM
"use strict";

const assert = require("assert");
const fs = require("fs");
const https = require("https");
const http2 = require("http2");

const [base, root] = process.argv.slice(2);
const ca = fs.readFileSync(root);
const hints = "</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script";

// over1 sends a request over HTTP/1.1.
function over1(agent, path, { method = "GET", headers = {}, pieces = [], trailers } = {}) {
	return new Promise((resolve, reject) => {
		const interim = [];
		const req = https.request(base + path, { agent, method, headers }, (res) => {
			let body = "";
			res.setEncoding("utf8");
			res.on("data", (piece) => { body += piece; });
			res.on("end", () => resolve({ status: res.statusCode, headers: res.headers, trailers: res.trailers, body, interim, reused: req.reusedSocket }));
			res.on("error", reject);
		});
		req.on("information", (info) => interim.push(info));
		req.on("error", reject);
		pieces.forEach((piece) => req.write(piece));
		if (trailers) req.addTrailers(trailers);
		req.end();
	});
}

// over2 sends a request over HTTP/2.
function over2(session, path, { method = "GET", headers = {}, pieces = [], trailers } = {}) {
	return new Promise((resolve, reject) => {
		const interim = [];
		const stream = session.request({ ":path": path, ":method": method, ...headers }, { endStream: method === "GET", waitForTrailers: Boolean(trailers) });
		const got = { interim, trailers: {}, body: "" };
		stream.setEncoding("utf8");
		stream.on("wantTrailers", () => stream.sendTrailers(trailers));
		stream.on("headers", (h) => interim.push({ statusCode: h[":status"], headers: h }));
		stream.on("response", (h) => { got.status = h[":status"]; got.headers = h; });
		stream.on("trailers", (h) => { got.trailers = h; });
		stream.on("data", (piece) => { got.body += piece; });
		stream.on("end", () => resolve(got));
		stream.on("error", reject);
		if (method !== "GET") {
			pieces.forEach((piece) => stream.write(piece));
			stream.end();
		}
	});
}

async function check(send) {
	const plain = await send("/hints");
	assert.deepStrictEqual([plain.status, plain.body, plain.interim.map((i) => i.statusCode)], [200, "hinted", [103]]);
	assert.strictEqual([plain.interim[0].headers.link].flat().join(", "), hints);

	const trailing = await send("/trailers");
	assert.strictEqual(trailing.body, "first last");
	assert.deepStrictEqual([trailing.trailers["x-sum"], trailing.trailers["x-late"]], ["42", "yes"]);

	const sent = await send("/echo?a=1;b=%2F", {
		method: "POST",
		headers: { trailer: "x-check", "content-type": "text/plain" },
		pieces: ["one ", "two ", "three"],
		trailers: { "x-check": "whole" },
	});
	const echo = JSON.parse(sent.body);
	assert.deepStrictEqual([echo.method, echo.url, echo.bytes, echo.trailers["x-check"]], ["POST", "/echo?a=1;b=%2F", 13, "whole"]);
	assert.strictEqual(echo.headers["transfer-encoding"], "chunked");
	assert.strictEqual(echo.headers.host, new URL(base).host);
	assert.strictEqual(echo.headers["x-forwarded-proto"], "https");
	assert.strictEqual(echo.headers["x-forwarded-port"], new URL(base).port);
}

(async () => {
	const agent = new https.Agent({ ca, keepAlive: true, maxSockets: 1 });
	await check((path, options) => over1(agent, path, options));
	assert.strictEqual((await over1(agent, "/echo")).reused, true, "one connection serves all");
	agent.destroy();

	const session = http2.connect(base, { ca });
	await check((path, options) => over2(session, path, options));
	// Browsers send each cookie in a field of its own (RFC 9113, section 8.2.3).
	const crumbs = await over2(session, "/echo", { headers: { cookie: ["a=1", "b=2", "c=3"] } });
	assert.strictEqual(JSON.parse(crumbs.body).headers.cookie, "a=1; b=2; c=3");
	assert.notStrictEqual(session.remoteSettings.enableConnectProtocol, true);
	session.close();
})().catch((err) => {
	console.error(err);
	process.exit(1);
});
