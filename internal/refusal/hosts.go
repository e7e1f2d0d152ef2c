package refusal

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

// blocked reports whether the body has Vite's sentence about our host. For
// another one it would take another line: the route sends a host of its own.
func (a answer) blocked() bool {
	return a.host != "" && a.has(`Blocked request. This host ("`+a.host+`") is not allowed.`)
}

// unnamed returns the host that a refusal without one in its text is about, ""
// if that is not known.
func (a answer) unnamed() string {
	if a.OtherHost {
		return ""
	}
	return a.host
}

// vite also is what Astro, Nuxt and SvelteKit run for development.
func vite(a answer) (Note, bool) {
	if a.media() != "text/plain" || !a.blocked() {
		return Note{}, false
	}
	for _, section := range []string{"server", "preview"} {
		if a.has("`" + section + ".allowedHosts` in vite.config.js") {
			return Note{
				App:     "Vite",
				Problem: fmt.Sprintf("Vite answers only for host names that it knows, and %s is not among them. (Astro and Nuxt take the line in their own configuration file.)", a.host),
				Fix:     fmt.Sprintf(`%s: { allowedHosts: ["%s"] },`, section, a.host),
				File:    "vite.config.js",
			}, true
		}
	}
	return Note{}, false
}

// angular is the dev server of Angular 17 and later, Vite with words of its own.
func angular(a answer) (Note, bool) {
	if a.media() != "text/html" || !a.blocked() || !a.has("<code>angular.json</code>") {
		return Note{}, false
	}
	return Note{
		App:     "Angular",
		Problem: fmt.Sprintf("Angular's dev server answers only for host names that it knows, and %s is not among them.", a.host),
		Fix:     fmt.Sprintf(`"allowedHosts": ["%s"]`, a.host),
		File:    `angular.json, under "serve", "options"`,
	}, true
}

// webpack is webpack-dev-server, which Create React App, Vue CLI and the older
// Angular use. Express stands in front of it, and says so.
func webpack(a answer) (Note, bool) {
	if a.unnamed() == "" || !a.says(invalidHost) || a.Header.Get("X-Powered-By") != "Express" {
		return Note{}, false
	}
	return Note{
		App: "webpack-dev-server",
		Problem: fmt.Sprintf("webpack-dev-server answers only for host names that it knows, and %s is not among them. "+
			"(Create React App: DANGEROUSLY_DISABLE_HOST_CHECK=true in .env; Angular: \"allowedHosts\" in angular.json.)", a.host),
		Fix:  fmt.Sprintf(`devServer: { allowedHosts: ["%s"] },`, a.host),
		File: "webpack.config.js",
	}, true
}

// next is Next.js's dev server, which keeps its own resources from other
// origins. The page itself arrives, and then never comes alive.
func next(a answer) (Note, bool) {
	switch {
	case !a.says("Unauthorized"), a.Header.Get("Content-Type") != "", a.origin == "":
		return Note{}, false
	case !strings.Contains(a.Path, "/_next/") && !strings.Contains(a.Path, "/__nextjs"):
		return Note{}, false
	}
	if name, ok := strings.CutSuffix(a.host, ".localhost"); a.host == "localhost" || ok && !strings.Contains(name, ".") {
		// Every version that refuses lets these in, so it was another site's
		// request. Next.js 16.0 and older know one label only.
		return Note{}, false
	}
	return Note{
		App:     "Next.js",
		Problem: fmt.Sprintf("Next.js keeps its scripts and its reload socket from pages on %s, so the page never becomes interactive. Restart next dev after the change.", a.host),
		Fix:     fmt.Sprintf(`allowedDevOrigins: ["%s"],`, a.host),
		File:    "next.config.js",
	}, true
}

func storybook(a answer) (Note, bool) {
	if !a.says("Invalid host") || a.Header.Get("Content-Type") != "text/plain" || a.unnamed() == "" || local(a.host) {
		return Note{}, false
	}
	return Note{
		App:     "Storybook",
		Problem: fmt.Sprintf("Storybook answers only for host names that it knows, and %s is not among them.", a.host),
		Fix:     fmt.Sprintf(`core: { allowedHosts: ["%s"] },`, a.host),
		File:    ".storybook/main.ts",
	}, true
}

// local reports whether Storybook and Sinatra let host in by themselves: what
// they refuse under such a name is another matter.
func local(host string) bool { return host == "localhost" || strings.HasSuffix(host, ".localhost") }

// rails is ActionDispatch::HostAuthorization, which comes before everything
// that would leave headers of its own.
func rails(a answer) (Note, bool) {
	if a.host == "" || a.Header.Get("X-Request-Id") != "" || !a.has("<h1>Blocked host") {
		return Note{}, false
	}
	_, line, _ := bytes.Cut(a.text, []byte("config.hosts &lt;&lt; "))
	rest, ok := bytes.CutPrefix(line, []byte(`"`+a.host))
	if !ok || len(rest) == 0 || rest[0] != '"' && rest[0] != ':' { // Rails 7 puts the port into it
		return Note{}, false
	}
	return Note{
		App:     "Rails",
		Problem: fmt.Sprintf("Rails answers in development only for host names that it knows, and %s is not among them. Restart it after the change.", a.host),
		Fix:     fmt.Sprintf(`config.hosts << "%s"`, a.host),
		File:    "config/environments/development.rb",
	}, true
}

// sinatra is Rack::Protection::HostAuthorization, on in Sinatra 4.1's
// development environment.
func sinatra(a answer) (Note, bool) {
	if !a.says("Host not permitted") || a.media() != "text/plain" || a.unnamed() == "" || local(a.host) || strings.HasSuffix(a.host, ".test") {
		return Note{}, false
	}
	return Note{
		App:     "Sinatra",
		Problem: fmt.Sprintf("Sinatra answers in development only for host names that it knows, and %s is not among them.", a.host),
		Fix:     fmt.Sprintf(`set :host_authorization, { permitted_hosts: ["%s", ".localhost"] }`, a.host),
		File:    "the file of the app",
	}, true
}

// djangoHost is Django's debug page, which names the cause.
func djangoHost(a answer) (Note, bool) {
	if a.host == "" || !a.has("DisallowedHost") {
		return Note{}, false
	}
	page := a.media() == "text/html" && a.has("You may need to add &#x27;"+a.host+"&#x27; to ALLOWED_HOSTS.")
	text := a.media() == "text/plain" && a.has("You may need to add '"+a.host+"' to ALLOWED_HOSTS.")
	if !page && !text {
		return Note{}, false
	}
	return allowedHosts(a, fmt.Sprintf("Django answers only for the names in ALLOWED_HOSTS, and %s is not among them.", a.host)), true
}

// djangoQuiet is what Django says with DEBUG off. The same page follows other
// bad requests, so only where there is nothing else to object to is it taken
// for the host's.
func djangoQuiet(a answer) (Note, bool) {
	plain := (a.Method == http.MethodGet || a.Method == http.MethodHead) && (a.Path == "/" || a.Path == "/favicon.ico")
	if a.unnamed() == "" || !plain || a.media() != "text/html" || len(a.text) > 200 ||
		!a.has("<title>Bad Request (400)</title>") || !a.has("<h1>Bad Request (400)</h1><p></p>") {
		return Note{}, false
	}
	return allowedHosts(a, fmt.Sprintf("This looks like Django with DEBUG off, which answers so for every request to a name that is not in ALLOWED_HOSTS; is %s in it?", a.host)), true
}

// allowedHosts names the usual local names, too: an empty list allows them
// while DEBUG is on, one with an entry does not.
func allowedHosts(a answer, problem string) Note {
	return Note{
		App:     "Django",
		Problem: problem,
		Fix:     fmt.Sprintf(`ALLOWED_HOSTS += ["%s", "localhost", "127.0.0.1"]`, a.host),
		File:    "settings.py",
	}
}
