package hello

import (
	"fmt"
	"slices"
	"strings"
)

// hidden stands for a value that is not shown.
const hidden = "•••"

// secretWords are what header names consist of that carry credentials:
// X-Api-Key, X-Csrf-Token, Cf-Access-Jwt-Assertion.
var secretWords = []string{
	"apikey", "auth", "authorization", "cookie", "credential", "credentials", "csrf", "jwt", "key", "passwd",
	"password", "secret", "session", "signature", "token", "xsrf",
}

// schemes are the words before the credentials in Authorization that are
// known not to be credentials themselves.
var schemes = []string{
	"apikey", "aws4-hmac-sha256", "basic", "bearer", "digest", "dpop", "hawk", "negotiate", "ntlm", "token",
}

// mask returns the value of a header as it may be shown: as it is, or with
// its secret parts hidden. What is not secret stays, so that a person can see
// whether the right cookie, or any token at all, came through.
func mask(name, value string) string {
	switch name = strings.ToLower(name); {
	case name == "cookie":
		return maskCookies(value)
	case name == "authorization", name == "proxy-authorization":
		scheme, credentials, _ := strings.Cut(value, " ")
		if !slices.Contains(schemes, strings.ToLower(scheme)) {
			return maskAll(value)
		}
		return scheme + " " + maskAll(strings.TrimSpace(credentials))
	case secret(name):
		return maskAll(value)
	}
	return value
}

func maskCookies(value string) string {
	cookies := strings.Split(value, ";")
	for i, cookie := range cookies {
		if name, _, ok := strings.Cut(strings.TrimSpace(cookie), "="); ok {
			cookies[i] = name + "=" + hidden
		} else {
			cookies[i] = hidden
		}
	}
	return strings.Join(cookies, "; ")
}

func maskAll(value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf("%s (%d bytes)", hidden, len(value))
}

// secret reports whether a header name, in lower case, has one of secretWords
// among its words. Sec-WebSocket-Key is not a secret in spite of its name: it
// only proves that the server speaks WebSocket (RFC 6455, section 11.3.1).
func secret(name string) bool {
	if strings.HasPrefix(name, "sec-websocket-") {
		return false
	}
	words := strings.FieldsFunc(name, func(c rune) bool { return c == '-' || c == '_' || c == '.' })
	return slices.ContainsFunc(words, func(word string) bool { return slices.Contains(secretWords, word) })
}
