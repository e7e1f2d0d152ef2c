(async () => {
	for (;;) {
		try {
			const answer = await fetch(location.href, {headers: {"X-Devproxy-Wait": "1"}, cache: "no-store"});
			if (answer.status !== 503) {
				location.reload();
				return;
			}
		} catch {}
		await new Promise((then) => setTimeout(then, 1000));
	}
})();
