package refusal

import (
	"fmt"
	"strings"
)

// schemeHeader is Django's setting for a proxy that tells the scheme. It is
// right where CSRF_TRUSTED_ORIGINS would be, too: the Host goes through
// unchanged, so that only the scheme differs.
const schemeHeader = `SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")`

// djangoForm is Django 4.0 and later, which compares a form's Origin with the
// URL that it believes to have. Older ones do not, and are not recognised.
func djangoForm(a answer) (Note, bool) {
	if a.origin == "" || a.media() != "text/html" || !a.has("<p>CSRF verification failed. Request aborted.</p>") {
		return Note{}, false
	}
	note := Note{App: "Django", Fix: schemeHeader, File: "settings.py"}
	switch {
	case a.has("Origin checking failed - " + a.origin + " does not match any trusted origins."):
		note.Problem = fmt.Sprintf("Django takes the request for plain http, so the form's origin %s is not its own.", a.origin)
	case a.Header.Get("Content-Type") == "text/html; charset=utf-8" && a.has("More information is available with DEBUG=True."):
		// It does not say why, and a form without its token gets the same page.
		note.Problem = fmt.Sprintf("Django's CSRF check failed and with DEBUG off does not say why: if the form has its token, Django takes the request for plain http and %s for a foreign origin.", a.origin)
	default:
		return Note{}, false
	}
	return note, true
}

// crossSiteForm is the same check in SvelteKit and Astro, in the same words.
// SvelteKit sends them without a type, or wrapped in JSON to its own scripts.
func crossSiteForm(a answer) (Note, bool) {
	if a.origin == "" || !isMethod(a.Method) {
		return Note{}, false
	}
	words := "Cross-site " + a.Method + " form submissions are forbidden"
	problem := fmt.Sprintf("%%s takes the request for one to another URL than %s, so that its form seems to come from another site.", a.origin)
	kind := a.media()
	switch {
	case kind == "" && a.says(words), kind == "application/json" && a.says(`{"message":"`+words+`"}`):
		return Note{
			App:     "SvelteKit",
			Problem: fmt.Sprintf(problem, "SvelteKit"),
			Fix:     fmt.Sprintf(`csrf: { trustedOrigins: ["%s"] },`, a.origin),
			File:    "svelte.config.js, under kit",
		}, true
	case strings.HasPrefix(kind, "text/plain") && a.says(words):
		return Note{
			App:     "Astro",
			Problem: fmt.Sprintf(problem, "Astro"),
			Fix:     fmt.Sprintf(`security: { allowedDomains: [{ hostname: "%s" }] },`, a.host),
			File:    "astro.config.mjs",
		}, true
	}
	return Note{}, false
}

// isMethod reports whether s is a method that carries a form.
func isMethod(s string) bool {
	switch s {
	case "POST", "PUT", "PATCH", "DELETE":
		return true
	}
	return false
}
