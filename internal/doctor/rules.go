package doctor

// A source is how a client comes by the roots it trusts.
type source int

const (
	fromFiles   source = iota // a file and a folder, OpenSSL's way; variables replace either
	fromGnuTLS                // the system's file, and nothing else
	fromCertifi               // a list that came with the library; variables replace it
	fromAdded                 // a list of its own, to which variables add
	fromJava                  // the key store of the Java installation
	fromGo                    // the system's file and folder, found Go's way
	fromBrowser               // an NSS database of the person's
)

// A rule says how a client finds names and roots: clients.md §3, §8 and §11.
type rule struct {
	client   string
	programs []string // the commands it goes by, best first
	source   source

	// finds: the client finds *.localhost by itself, on both loopback
	// addresses, whatever the system says; of libcurl only newer ones do.
	finds bool

	// oneAddress: it tries but one of the addresses that a name has.
	oneAddress bool

	// files and dirs are the variables that replace its file and its folder;
	// the first that is set counts. Where hides is set, dirs are not read.
	files, dirs []string
	hides       string

	// dirOnly is a variable whose folder replaces everything.
	dirOnly string

	// adds are the variables whose file is added to its list.
	adds []string

	// opaque are settings whose effect is not known here: NAME, or NAME=part
	// for a value that holds part.
	opaque []string

	// off are settings that switch verification off: NAME=value.
	off []string

	// proxies are the variables by which it is sent through a proxy; direct
	// are those that keep hosts out of that, all of which must agree.
	proxies, direct []string

	// settings are files below the home folder that may overrule all this by
	// one of words.
	settings []string
	words    []string

	try string // how it is called, for a command to try
}

var (
	curlProxies = []string{"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}
	noProxy     = []string{"no_proxy", "NO_PROXY"}
)

// rules are the clients that doctor speaks of, in the order of its table.
func rules() []rule {
	return []rule{
		{
			client: "curl", programs: []string{"curl"}, source: fromFiles, finds: true,
			files: []string{"CURL_CA_BUNDLE", "SSL_CERT_FILE"}, dirs: []string{"SSL_CERT_DIR"}, hides: "CURL_CA_BUNDLE",
			proxies: curlProxies, direct: noProxy,
			settings: []string{".curlrc", ".config/curlrc"}, words: []string{"cacert", "capath", "proxy", "resolve", "insecure"},
			try: "curl",
		}, {
			client: "wget", programs: []string{"wget"}, source: fromGnuTLS,
			opaque: []string{"WGETRC"}, proxies: []string{"https_proxy"}, direct: []string{"no_proxy"},
			settings: []string{".wgetrc"}, words: []string{"ca_", "ca-", "proxy", "check_certificate"},
			try: "wget",
		}, {
			client: "git", programs: []string{"git"}, source: fromFiles, finds: true,
			files: []string{"GIT_SSL_CAINFO"}, dirOnly: "GIT_SSL_CAPATH", off: []string{"GIT_SSL_NO_VERIFY="},
			opaque: []string{"GIT_CONFIG_GLOBAL", "GIT_CONFIG_COUNT"}, proxies: curlProxies, direct: noProxy,
			settings: []string{".gitconfig", ".config/git/config", "/etc/gitconfig"}, words: []string{"ssl", "proxy"},
			try: "git",
		}, {
			client: "python", programs: []string{"python3", "python"}, source: fromFiles,
			files: []string{"SSL_CERT_FILE"}, dirs: []string{"SSL_CERT_DIR"},
			proxies: []string{"https_proxy", "HTTPS_PROXY"}, direct: noProxy,
			try: "python3",
		}, {
			client: "requests", programs: []string{"python3", "python"}, source: fromCertifi,
			files: []string{"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}, proxies: curlProxies, direct: noProxy,
			try: "python3",
		}, {
			client: "node", programs: []string{"node", "nodejs"}, source: fromAdded, oneAddress: true,
			adds:   []string{"NODE_EXTRA_CA_CERTS"},
			opaque: []string{"NODE_USE_SYSTEM_CA", "NODE_OPTIONS=-ca", "NODE_USE_ENV_PROXY"}, off: []string{"NODE_TLS_REJECT_UNAUTHORIZED=0"},
			try: "node",
		}, {
			client: "deno", programs: []string{"deno"}, source: fromAdded, oneAddress: true,
			adds: []string{"DENO_CERT", "NODE_EXTRA_CA_CERTS"}, opaque: []string{"DENO_TLS_CA_STORE"},
			proxies: curlProxies, direct: noProxy, try: "deno",
		}, {
			client: "java", programs: []string{"java"}, source: fromJava, oneAddress: true,
			files: []string{"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"},
			opaque: []string{
				"_JAVA_OPTIONS=trustStore",
				"JAVA_TOOL_OPTIONS=roxyHost", "JAVA_TOOL_OPTIONS=useSystemProxies",
				"JDK_JAVA_OPTIONS=roxyHost", "JDK_JAVA_OPTIONS=useSystemProxies",
			},
			try: "java",
		}, {
			client: "go", programs: []string{"go"}, source: fromGo,
			files: []string{"SSL_CERT_FILE"}, dirs: []string{"SSL_CERT_DIR"},
			proxies: []string{"https_proxy", "HTTPS_PROXY"}, direct: noProxy, try: "go",
		}, {
			client: "chromium", source: fromBrowser, finds: true,
			programs: []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"},
			proxies:  curlProxies, direct: noProxy,
		}, {
			client: "firefox", source: fromBrowser, finds: true,
			programs: []string{"firefox", "firefox-esr"},
			proxies:  curlProxies, direct: noProxy,
		},
	}
}

// storeOf returns what trust calls the stores of a client; all whose names
// begin like that count, the snap's and the flatpak's too.
func (r rule) storeOf() string {
	switch r.client {
	case "chromium":
		return "Chromium"
	case "firefox":
		return "Firefox"
	case "java":
		return "Java"
	}
	return "System"
}
