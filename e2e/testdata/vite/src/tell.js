// Tells the test what the page shows now.

const life = crypto.randomUUID(); // a reload makes another

export function tell() {
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
			edition: document.body.dataset.edition,
			word: document.querySelector("#word")?.textContent,
			color: getComputedStyle(document.body).backgroundColor,
			modules: Object.values(window.modules ?? {}),
		}),
	});
}

addEventListener("news", tell);

if (import.meta.hot) {
	import.meta.hot.on("vite:afterUpdate", tell);
	import.meta.hot.on("vite:error", (e) => { problems.push(e.err.message); });
}
