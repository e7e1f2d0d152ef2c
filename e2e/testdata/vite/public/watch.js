// Runs before any module, so that it sees each request that fails and each
// socket.
window.problems = [];
window.sockets = []; // addresses of those that were opened
window.drops = 0; // how many of them were closed
const news = () => dispatchEvent(new Event("news"));

addEventListener("error", (e) => { problems.push(String(e.message || e.target.src || e.target.href)); news(); }, true);
addEventListener("unhandledrejection", (e) => { problems.push(String(e.reason)); news(); });
performance.setResourceTimingBufferSize(2000); // the usual 250 are too few

window.WebSocket = class extends WebSocket {
	constructor(...args) {
		super(...args);
		this.addEventListener("open", () => {
			sockets.push(this.url.replace(/\?.*/, ""));
			news();
			this.addEventListener("close", () => { drops++; });
		});
	}
};
