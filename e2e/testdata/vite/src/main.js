import "./updates.js";
import { word } from "./word.js";
import "./style.css";

function show(text) {
	document.querySelector("#word").textContent = text;
}

show(word);
tell();

if (import.meta.hot) {
	import.meta.hot.accept("./word.js", (fresh) => show(fresh.word));
}
