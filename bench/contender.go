package main

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"text/template"
	"time"
)

//go:embed templates
var templateFiles embed.FS

// pool is how many idle connections to a backend every proxy may keep: more
// than any load has requests under way.
const pool = 256

// A contender is a proxy as it takes part in the comparison.
type contender struct {
	name      string // of its column
	kind      kind
	binary    string
	accessLog bool
	dir       string   // its HOME, with its configuration
	hosts     []string // routed besides app.localhost and *.shop.localhost; devproxy only
	saved     []string // routed to the app that takes uploads
	watching  bool     // it is to see by itself that its configuration changes
	port      int
	process   *process
}

// A kind is how one program is set up and started.
type kind struct {
	name   string
	config string // name of the configuration file, and of its template
	argv   func(c *contender, s settings) []string
	env    func(b *bench) []string
}

// settings is what templates are filled with.
type settings struct {
	Dir           string
	Listen        string // address
	Port          int
	Threads       int
	Pool          int
	Backend, Live string // addresses
	Cert, Key     string // files
	Bundle        string // file of both
	AccessLog     bool
	Hosts, Saved  []string
	Superuser     bool // workers need not become another user
	Body          string
}

// threads is how many workers each proxy has: what devproxy, Caddy and Go take
// by default.
func threads() int { return runtime.GOMAXPROCS(0) }

// prepare makes the folder of a contender. It gets a copy of the program that
// no other process shares, so that all its pages count as its memory.
func (b *bench) prepare(c *contender) (err error) {
	if c.dir, err = os.MkdirTemp(b.dir, c.kind.name+"-"); err != nil {
		return err
	}
	if c.port, err = freePort(); err != nil {
		return err
	}
	copied := filepath.Join(c.dir, "bin-"+c.kind.name)
	if err := copyProgram(copied, c.binary); err != nil {
		return err
	}
	c.binary = copied
	return b.configure(c)
}

// fresh returns a contender of the same build that is not running, changed by
// changes before it is prepared.
func (b *bench) fresh(of *contender, changes func(*contender)) (*contender, error) {
	c := &contender{name: of.name, kind: of.kind, binary: of.binary, accessLog: of.accessLog}
	if changes != nil {
		changes(c)
	}
	return c, b.prepare(c)
}

// started is fresh, running. Its user discards it.
func (b *bench) started(of *contender, changes func(*contender)) (*contender, error) {
	c, err := b.fresh(of, changes)
	if err == nil {
		_, err = b.start(c)
	}
	if err != nil {
		c.discard()
	}
	return c, err
}

// discard ends a contender, if it runs, and removes its folder.
func (c *contender) discard() {
	if c.process != nil {
		c.process.stop()
	}
	os.RemoveAll(c.dir)
}

func (b *bench) settings(c *contender) settings {
	return settings{
		Dir: c.dir, Listen: c.address(), Port: c.port, Threads: threads(), Pool: pool,
		Backend: b.backend, Live: b.live,
		Cert: b.authority.cert, Key: b.authority.key, Bundle: b.authority.bundle,
		AccessLog: c.accessLog, Hosts: c.hosts, Saved: c.saved, Superuser: os.Geteuid() == 0,
	}
}

func (c *contender) address() string { return fmt.Sprintf("127.0.0.1:%d", c.port) }

func (c *contender) configFile() string { return filepath.Join(c.dir, c.kind.config) }

// configure saves the configuration as editors do, by a rename.
func (b *bench) configure(c *contender) error {
	if c.kind.config == "" {
		return nil
	}
	text, err := fill(c.kind.config, b.settings(c))
	if err != nil {
		return err
	}
	// In a folder of its own, so that watchers of c.dir see one change.
	temp := filepath.Join(b.dir, "saved")
	if err := os.WriteFile(temp, text, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, c.configFile())
}

// fill renders a configuration.
func fill(name string, s settings) ([]byte, error) {
	tmpl, err := template.ParseFS(templateFiles, "templates/"+name)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = tmpl.Execute(&text, s)
	return text.Bytes(), err
}

// start launches a prepared contender and returns how long it took until it
// answered a request with 200.
func (b *bench) start(c *contender) (time.Duration, error) {
	var env []string
	if c.kind.env != nil {
		env = c.kind.env(b)
	}
	began := time.Now()
	process, err := launch(c.dir, env, c.kind.argv(c, b.settings(c)))
	if err != nil {
		return 0, err
	}
	c.process = process
	if err := b.awaitAnswer(c); err != nil {
		process.stop()
		return 0, process.fault(err)
	}
	return time.Since(began), nil
}

// awaitAnswer asks until there is a 200 whose certificate verifies.
func (b *bench) awaitAnswer(c *contender) error {
	for began := time.Now(); ; time.Sleep(500 * time.Microsecond) {
		err := b.ask(c, "app.localhost")
		switch {
		case err == nil:
			return nil
		case c.process.ended():
			return fmt.Errorf("ended before it answered: %w", err)
		case time.Since(began) > patience:
			return fmt.Errorf("no answer after %v: %w", patience, err)
		}
	}
}

// ask makes one request for host on a connection of its own.
func (b *bench) ask(c *contender, host string) error {
	conn, err := b.dial(c, host, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.get("/")
}

// freePort returns a port of 127.0.0.1 that the kernel chose.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func copyProgram(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
