// A server of Node's own http module, with WebSockets by ws.
//
//     node node_app.js PORT
"use strict";

const crypto = require("crypto");
const http = require("http");
const { WebSocketServer } = require("ws");

const cookies = [
	"session=abc; Path=/; HttpOnly; Secure; SameSite=Lax",
	"shared=1; Domain=proj.localhost; Path=/; Secure; SameSite=Lax",
	"third=x; Path=/; Secure; SameSite=None; Partitioned",
	'quoted="a, b"; Expires=Thu, 01 Jan 2099 00:00:00 GMT; Max-Age=3600',
	"__Host-strict=%C3%A9; Path=/; Secure",
	"odd=a=b=c;path=/;SAMESITE=strict",
	"session=again; Path=/deep",
	"empty=; Max-Age=0",
];

const held = []; // responses of /closed that wait
let abandoned = 0; // requests of /wait whose client left

function seen(req, body) {
	return JSON.stringify({
		method: req.method,
		url: req.url,
		version: req.httpVersion,
		headers: req.headers,
		trailers: req.trailers,
		bytes: body.length,
		sha256: crypto.createHash("sha256").update(body).digest("hex"),
	});
}

function answer(req, res) {
	const url = req.url === "*" ? "*" : new URL(req.url, "http://app").pathname;
	switch (url) {
	case "*":
		res.writeHead(200, { Allow: "GET, HEAD, OPTIONS" });
		return res.end();
	case "/hints":
		return res.writeEarlyHints({ link: ["</a.css>; rel=preload; as=style", "</b.js>; rel=preload; as=script"] }, () => res.end("hinted"));
	case "/trailers":
		res.writeHead(200, { Trailer: "X-Sum, X-Late" });
		res.write("first ");
		res.addTrailers({ "X-Sum": "42", "X-Late": "yes" });
		return res.end("last");
	case "/cookies":
		res.setHeader("Set-Cookie", cookies);
		return res.end(req.headers.cookie ?? "");
	case "/big": {
		const size = 8 << 20;
		res.writeHead(200, { "Content-Length": size });
		return res.end(Buffer.alloc(size, "0123456789"));
	}
	case "/wait": // for ever
		res.writeHead(200);
		res.flushHeaders();
		return res.on("close", () => {
			abandoned++;
			held.splice(0).forEach((other) => other.end(String(abandoned)));
		});
	case "/closed": // answers once a request of /wait was abandoned
		return abandoned > 0 ? res.end(String(abandoned)) : held.push(res);
	case "/connections":
		return server.getConnections((err, n) => res.end(String(n)));
	default: {
		const pieces = [];
		req.on("data", (piece) => pieces.push(piece));
		req.on("end", () => {
			res.setHeader("Content-Type", "application/json");
			res.end(seen(req, Buffer.concat(pieces)));
		});
	}
	}
}

const server = http.createServer({ maxHeaderSize: 16 << 10 }, answer);
server.on("checkContinue", (req, res) => {
	if (req.url === "/unwanted") {
		return res.writeHead(413).end("too much");
	}
	res.writeContinue();
	answer(req, res);
});

const sockets = new WebSocketServer({
	noServer: true,
	perMessageDeflate: { threshold: 0 },
	maxPayload: 4 << 20,
	handleProtocols: (offered) => (offered.has("v2.app") ? "v2.app" : false),
});
let last = "none"; // how the last client closed

sockets.on("connection", (ws, req) => {
	ws.send(JSON.stringify({ headers: req.headers, extensions: ws.extensions }));
	ws.on("pong", (data) => ws.send("pong " + data));
	ws.on("close", (code, reason) => { last = `${code} ${reason}`; });
	ws.on("message", (data, binary) => {
		const command = binary ? "" : data.toString();
		switch (command) {
		case "ping me": return ws.ping("acorn");
		case "close": return ws.close(4001, "server is done");
		case "break": return ws.terminate();
		case "last": return ws.send(last);
		default: return ws.send(data, { binary });
		}
	});
});

server.on("upgrade", (req, socket, head) => {
	if (req.headers.upgrade === "websocket") {
		return sockets.handleUpgrade(req, socket, head, (ws) => sockets.emit("connection", ws, req));
	}
	// Another protocol: it counts what comes until the client's end of it, and
	// says how much that was.
	socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: counting\r\n\r\nready\n");
	let n = head.length;
	socket.on("data", (piece) => { n += piece.length; });
	socket.on("end", () => socket.end(`${n}\n`));
	socket.on("error", () => {});
});
server.listen(Number(process.argv[2]), "127.0.0.1");
