package clientenv

// A kind says what a file holds beside what it joins.
type kind string

const (
	combined kind = "bundle" // the system's roots and ours, for variables that replace
	adding   kind = "extra"  // ours, for variables that add
)

// A client is known by a variable that names a file of root certificates.
type client struct {
	name string
	kind kind

	// insteadOf are the variables that the client reads where this one is
	// unset, in its order: setting this one hides them, so what they name has to
	// be joined.
	insteadOf []string

	// onlySet: the variable means something to few, so it is left alone unless
	// the person uses it.
	onlySet bool
}

// clients are those of clients.md §11. SSL_CERT_DIR is never set: it replaces,
// and needs a folder of hashed names. Nor is NODE_OPTIONS, which older Nodes
// refuse to start with, or WGETRC, which hides the person's file.
var clients = []client{
	{name: "SSL_CERT_FILE", kind: combined},
	{name: "CURL_CA_BUNDLE", kind: combined, insteadOf: []string{"SSL_CERT_DIR", "SSL_CERT_FILE"}},
	{name: "REQUESTS_CA_BUNDLE", kind: combined, insteadOf: []string{"CURL_CA_BUNDLE"}},
	{name: "PIP_CERT", kind: combined, insteadOf: []string{"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"}},
	{name: "AWS_CA_BUNDLE", kind: combined, insteadOf: []string{"REQUESTS_CA_BUNDLE"}},
	{name: "GIT_SSL_CAINFO", kind: combined},
	{name: "CARGO_HTTP_CAINFO", kind: combined, insteadOf: []string{"SSL_CERT_DIR", "SSL_CERT_FILE"}},
	{name: "PERL_LWP_SSL_CA_FILE", kind: combined, insteadOf: []string{"HTTPS_CA_FILE"}},
	{name: "HTTPS_CA_FILE", kind: combined, onlySet: true},
	{name: "NODE_EXTRA_CA_CERTS", kind: adding},
	{name: "DENO_CERT", kind: adding},
}
