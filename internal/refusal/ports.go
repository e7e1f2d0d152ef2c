package refusal

import "strings"

// airTunes is macOS's AirPlay Receiver, which owns port 5000. Newer versions
// do not give their name.
func airTunes(a answer) (Note, bool) {
	named := strings.HasPrefix(a.Header.Get("Server"), "AirTunes/")
	timed := a.Header.Get("X-Apple-ProcessingTime") != "" && a.Header.Get("X-Apple-RequestReceivedTimestamp") != ""
	if len(a.text) > 0 || !named && !timed {
		return Note{}, false
	}
	return Note{
		App:     "AirPlay Receiver",
		Problem: "It is not the app that answers on this port (5000 is the usual one) but macOS's AirPlay Receiver.",
		Fix:     "flask run --port 5001\nor switch AirPlay Receiver off: System Settings, General, AirDrop & Handoff",
	}, true
}

// speaksTLS is an https server that got plain HTTP. Those that say nothing of
// it (Node.js, Python) close the connection.
func speaksTLS(a answer) (Note, bool) {
	var app string
	switch kind := a.media(); {
	case kind == "" && a.says("Client sent an HTTP request to an HTTPS server."):
		app = "Go"
	case kind == "text/html" && a.has("<title>400 The plain HTTP request was sent to HTTPS port</title>"):
		app = "nginx"
	case kind == "text/html" && a.has("You're speaking plain HTTP to an SSL-enabled server port."):
		app = "Apache"
	case kind == "text/plain" && strings.Join(strings.Fields(string(a.text)), " ") == "Bad Request This combination of host and port requires TLS.":
		app = "Tomcat"
	default:
		return Note{}, false
	}
	return Note{
		App:     app,
		Problem: "The server on this port speaks https, and the route's target says http. Its certificate must be trusted here; insecure = true in the route's table does without.",
		Fix:     `to = "https://ADDRESS:PORT"`,
		File:    "devproxy.toml",
	}, true
}
