// Passes on to the test what Vite's client says. The functions are watch.js's.

if (import.meta.hot) {
	import.meta.hot.on("vite:afterUpdate", tell);
	import.meta.hot.on("vite:error", (e) => problem(e.err.message));
}
