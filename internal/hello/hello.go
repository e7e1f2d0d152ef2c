// Package hello is the app built into devproxy: it answers every request with
// what it received. A newcomer sees at once that names, certificates and
// routes work, and later what an app behind devproxy gets to see.
//
// Browsers get a page, clients that ask for application/json get JSON, all
// others text. Credentials in headers are masked in each of them.
package hello

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

//go:embed page.html
var pageText string

//go:embed style.css
var styleText string

// An App is the built-in app. Make one with New. It may serve any number of
// requests at once, and never reads their bodies.
type App struct {
	page   *template.Template
	policy string // the Content-Security-Policy header
}

// New returns the app.
func New() *App {
	page := template.Must(template.New("page").Parse(pageText))
	template.Must(page.New("style").Parse(styleText))
	// The style sheet goes into the page; its hash is all the policy allows.
	hash := sha256.Sum256([]byte(styleText))
	policy := "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(hash[:]) + "'"
	return &App{page, policy}
}

// A report is what the app received.
type report struct {
	Method   string   `json:"method"`
	URL      string   `json:"url"`
	Protocol string   `json:"protocol"`
	Client   string   `json:"client"` // address and port
	Headers  []header `json:"headers"`
	TLS      *facts   `json:"tls"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"` // masked where it is a credential
}

// facts tells how the connection is secured.
type facts struct {
	Version     string `json:"version"`
	CipherSuite string `json:"cipher_suite"`
	KeyExchange string `json:"key_exchange"`
	ServerName  string `json:"server_name"` // SNI; "" if the client sent none
	ALPN        string `json:"alpn"`        // "" if nothing was negotiated
	Resumed     bool   `json:"resumed"`

	Certificate *certificate `json:"client_certificate,omitempty"` // nil: none that was accepted
}

// certificate is the client's. Names are in the form of RFC 4514.
type certificate struct {
	Subject     string `json:"subject"`
	Issuer      string `json:"issuer"`
	Fingerprint string `json:"fingerprint"` // SHA-256, in hexadecimal
}

func newReport(r *http.Request) report {
	// The target as it came, not as net/url would write it.
	url := r.RequestURI
	if strings.HasPrefix(url, "/") {
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		url = scheme + "://" + r.Host + url
	}
	rep := report{
		Method:   r.Method,
		URL:      url,
		Protocol: r.Proto,
		Client:   r.RemoteAddr,
		Headers:  []header{{"Host", r.Host}},
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			rep.Headers = append(rep.Headers, header{name, mask(name, value)})
		}
	}
	if r.TLS != nil {
		rep.TLS = newFacts(r.TLS)
	}
	return rep
}

func newFacts(state *tls.ConnectionState) *facts {
	f := &facts{
		Version:     tls.VersionName(state.Version),
		CipherSuite: tls.CipherSuiteName(state.CipherSuite),
		ServerName:  state.ServerName,
		ALPN:        state.NegotiatedProtocol,
		Resumed:     state.DidResume,
	}
	if state.CurveID != 0 {
		f.KeyExchange = state.CurveID.String()
	}
	// What was sent is not what was verified.
	if len(state.VerifiedChains) > 0 {
		cert := state.VerifiedChains[0][0]
		f.Certificate = &certificate{cert.Subject.String(), cert.Issuer.String(), fmt.Sprintf("%x", sha256.Sum256(cert.Raw))}
	}
	return f
}

// ServeHTTP answers with what it received.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rep := newReport(r)
	var body bytes.Buffer
	var kind string
	var err error
	switch preferred(r.Header["Accept"]) {
	case "text/html":
		kind = "text/html; charset=utf-8"
		err = a.page.Execute(&body, rep)
	case "application/json":
		kind = "application/json"
		encoder := json.NewEncoder(&body)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(rep)
	default:
		kind = "text/plain; charset=utf-8"
		rep.writeText(&body)
	}
	if err != nil {
		http.Error(w, "the answer could not be written", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Content-Security-Policy", a.policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept")
	w.Write(body.Bytes())
}

func (rep report) writeText(body *bytes.Buffer) {
	fmt.Fprintf(body, "Hello from devproxy.\n\n%s %s %s\nclient: %s\n", rep.Method, rep.URL, rep.Protocol, rep.Client)
	if t := rep.TLS; t != nil {
		fmt.Fprintf(body, "tls: %s, %s, %s, server name %q, ALPN %q, resumed %t\n",
			t.Version, t.CipherSuite, t.KeyExchange, t.ServerName, t.ALPN, t.Resumed)
	}
	if rep.TLS != nil && rep.TLS.Certificate != nil {
		c := rep.TLS.Certificate
		fmt.Fprintf(body, "client certificate: %+q, issued by %+q, fingerprint %s\n", c.Subject, c.Issuer, c.Fingerprint)
	}
	body.WriteByte('\n')
	for _, h := range rep.Headers {
		fmt.Fprintf(body, "%s: %s\n", h.Name, h.Value)
	}
}

// preferred returns which of text/html and application/json a client asks
// for by name with the greater weight (RFC 9110, section 12.5.1), HTML when
// both weigh the same, and "" when it names neither.
func preferred(accept []string) string {
	var html, json float64
	for _, line := range accept {
		for option := range strings.SplitSeq(line, ",") {
			kind, params, _ := strings.Cut(option, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case "text/html":
				html = max(html, weight(params))
			case "application/json":
				json = max(json, weight(params))
			}
		}
	}
	switch {
	case html > 0 && html >= json:
		return "text/html"
	case json > 0:
		return "application/json"
	}
	return ""
}

// weight returns the q parameter of a media range; 1 if there is none, 0 if
// it makes no sense.
func weight(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(param)), "q="); ok {
			w, err := strconv.ParseFloat(q, 64)
			if err != nil || !(w >= 0 && w <= 1) {
				return 0
			}
			return w
		}
	}
	return 1
}
