// Tells the test what the page shows and what went wrong. It runs before any
// module, so that it sees each request that fails and each socket.

const life = crypto.randomUUID(); // a reload makes another
const problems = [];
const sockets = []; // addresses of those that were opened
let drops = 0; // how many of them were closed

function tell() {
	const loads = performance.getEntriesByType("resource").filter((e) => !e.name.includes("/report"));
	fetch("/report", {
		method: "POST",
		body: JSON.stringify({
			visitor: location.search.slice(1),
			life,
			sockets,
			drops,
			problems,
			protocol: performance.getEntriesByType("navigation")[0].nextHopProtocol,
			loads: loads.length,
			failed: loads.filter((e) => ![200, 304].includes(e.responseStatus)).map((e) => `${e.responseStatus} ${e.name}`),
			edition: document.body?.dataset.edition,
			word: document.querySelector("#word")?.textContent,
			color: document.body && getComputedStyle(document.body).backgroundColor,
			modules: Object.values(window.modules ?? {}),
		}),
	});
}

function problem(text) {
	problems.push(text);
	tell();
}

addEventListener("error", (e) => problem(String(e.message || e.target.src || e.target.href)), true);
addEventListener("unhandledrejection", (e) => problem(String(e.reason)));
performance.setResourceTimingBufferSize(2000); // the usual 250 are too few

window.WebSocket = class extends WebSocket {
	constructor(...args) {
		super(...args);
		this.addEventListener("open", () => {
			sockets.push(this.url.replace(/\?.*/, ""));
			this.addEventListener("close", () => { drops++; });
			tell();
		});
	}
};
