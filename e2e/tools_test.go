package e2e

import (
	"os"
	"os/exec"
	"testing"
)

// packages names the Debian package of each program the tests use. tools.sh
// installs them.
var packages = map[string]string{
	"certutil":         "libnss3-tools",
	"chromium":         "chromium",
	"curl":             "curl",
	"fish":             "fish",
	"git":              "git",
	"firefox-esr":      "firefox-esr",
	"gnutls-cli":       "gnutls-bin",
	"gunicorn":         "gunicorn",
	"java":             "default-jre-headless",
	"keytool":          "default-jre-headless",
	"node":             "nodejs",
	"openssl":          "openssl",
	"sudo":             "sudo",
	"sysctl":           "procps",
	"tshark":           "tshark",
	"uwsgi":            "uwsgi-core",
	"wget":             "wget",
	"zsh":              "zsh",
	"/usr/bin/python3": "python3",

	"/usr/sbin/update-ca-certificates": "ca-certificates",
}

// tool returns the path of a program. Where it is missing the test is
// skipped; under CI it fails.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name+" is not installed (Debian: apt-get install "+packages[name]+")")
	}
	return path
}

// python returns Debian's Python, once it can import modules: another one on
// PATH does not see Debian's packages.
func python(t *testing.T, modules ...string) string {
	t.Helper()
	path := tool(t, "/usr/bin/python3")
	for _, module := range modules {
		if err := exec.Command(path, "-c", "import "+module).Run(); err != nil {
			missing(t, "python3 cannot import "+module+" (Debian: apt-get install python3-"+module+")")
		}
	}
	return path
}

// debianModules is where Debian keeps Node's modules. Its own Node looks there,
// others do if told so.
const debianModules = "/usr/share/nodejs"

// node returns Node, once it finds modules.
func node(t *testing.T, modules ...string) string {
	t.Helper()
	path := tool(t, "node")
	for _, module := range modules {
		cmd := exec.Command(path, "-e", "require(process.argv[1])", module)
		cmd.Env = append(os.Environ(), "NODE_PATH="+debianModules)
		if err := cmd.Run(); err != nil {
			missing(t, "node cannot find "+module+" (Debian: apt-get install node-"+module+")")
		}
	}
	return path
}

// example returns the path of a file under examples/.
func example(t *testing.T, path string) string {
	t.Helper()
	path = "../examples/" + path
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}
