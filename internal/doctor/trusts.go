package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// trusts says whether a client accepts what the root signs for.
func (m Machine) trusts(ctx context.Context, r rule, program string, python Python) Verdict {
	if m.Root == nil {
		return Verdict{Fail, "there is no root yet", m.Trust}
	}
	if name := m.opaque(r.off); name != "" {
		return Verdict{Warn, name + " switches verification off: anyone can pose as any site", "unset " + name}
	}
	v := m.sources(ctx, r, program, python)
	if v.State != OK {
		return v
	}
	if name := m.opaque(r.opaque); name != "" {
		return Verdict{State: Unknown, Detail: "cannot tell what " + name + " does to it"}
	}
	if file := m.overruled(r); file != "" {
		return Verdict{State: Unknown, Detail: fmt.Sprintf("cannot tell what %s does to it", file)}
	}
	return v
}

// sources looks where the client looks for roots.
func (m Machine) sources(ctx context.Context, r rule, program string, python Python) Verdict {
	switch r.source {
	case fromBrowser:
		return m.store(r)
	case fromJava:
		return m.java(r, program)
	case fromAdded:
		v := m.added(ctx, r)
		if v.State != OK && r.client == "node" && m.SystemNode(program) {
			r.files, r.dirs = []string{"SSL_CERT_FILE"}, []string{"SSL_CERT_DIR"}
			return m.files(ctx, r, m.firstFile(), m.SystemDirs, false)
		}
		return v
	case fromGo:
		return m.files(ctx, r, m.firstFile(), m.SystemDirs, true)
	case fromCertifi:
		return m.certifi(ctx, r, python)
	}
	if r.client == "python" {
		return m.files(ctx, r, python.File, filepath.SplitList(python.Dir), false)
	}
	if r.source == fromGnuTLS {
		switch linked(program) {
		case gnutls:
		case openssl:
			r.files, r.dirs = []string{"SSL_CERT_FILE"}, []string{"SSL_CERT_DIR"}
		default:
			return Verdict{State: Unknown, Detail: fmt.Sprintf("cannot tell which TLS library %s uses", program)}
		}
	}
	own := distributed(program)
	dirs := m.SystemDirs
	if !own && !m.anySet(r.files) {
		return Verdict{State: Unknown, Detail: fmt.Sprintf("%s is not the system's: cannot tell where it looks for roots", program)}
	}
	if !own || r.source == fromGnuTLS && len(r.dirs) == 0 {
		dirs = nil
	}
	return m.files(ctx, r, m.firstFile(), dirs, false)
}

// files judges a client that reads file and dirs, or what variables name
// instead.
func (m Machine) files(ctx context.Context, r rule, file string, dirs []string, allFiles bool) Verdict {
	named := "" // the variable whose file is read
	for _, name := range r.files {
		if value := m.Env(name); value != "" && named == "" {
			named, file = name, value
		}
	}
	dirNamed := ""
	if r.hides == "" || m.Env(r.hides) == "" {
		for _, name := range r.dirs {
			if value := m.Env(name); value != "" && dirNamed == "" {
				dirNamed, dirs = name, filepath.SplitList(value)
			}
		}
	}
	if r.dirOnly != "" && m.Env(r.dirOnly) != "" {
		named, file, dirNamed, dirs = "", "", r.dirOnly, filepath.SplitList(m.Env(r.dirOnly))
	}

	pool := x509.NewCertPool()
	var fileErr error
	found := false
	if file != "" {
		fileErr = addFile(pool, file)
		found = fileErr == nil
	}
	var read []string
	for _, dir := range dirs {
		if addFolder(pool, dir, allFiles) == nil {
			found, read = true, append(read, dir)
		}
	}
	var proof error
	if found {
		proof = m.Handshake(ctx, pool)
	}
	variable := named
	if variable == "" {
		variable = dirNamed
	}
	switch {
	case found && proof == nil && named != "" && fileErr != nil && r.client != "go":
		// What OpenSSL does about a file that is missing differs by client.
		return Verdict{Warn, fmt.Sprintf("%s: %v", named, fileErr), "unset " + named}
	case found && proof == nil && variable == "":
		return worst(Verdict{State: OK}, m.storeIfAny(r))
	case found && proof == nil && named != "" && len(read) > 0:
		return Verdict{State: OK, Detail: fmt.Sprintf("by %s and %s", named, strings.Join(read, ", "))}
	case found && proof == nil:
		return Verdict{State: OK, Detail: "by " + variable}
	case variable != "":
		return Verdict{Fail, fmt.Sprintf("does not trust the root: %s points to %s, which lacks it", variable, m.Env(variable)), m.mend(m.Env(variable), m.tryExec(r))}
	case !found && (file != "" || len(dirs) > 0):
		return Verdict{Fail, "does not trust the root: the system has no bundle of roots that can be read", m.Trust}
	case !found:
		return Verdict{State: Unknown, Detail: "cannot tell where it looks for roots"}
	}
	if fileErr != nil || file == "" {
		file = strings.Join(dirs, ", ")
	}
	return worst(Verdict{Fail, "does not trust the root: " + file + " lacks it", m.Trust}, m.storeIfAny(r))
}

// mend is what to do about a variable that names a file without the root: the
// system's own will have it once it is trusted.
func (m Machine) mend(file, otherwise string) string {
	own := func(system string) bool { return sameFile(system, file) }
	if slices.ContainsFunc(m.SystemFiles, own) || slices.ContainsFunc(m.SystemDirs, own) {
		return m.Trust
	}
	return otherwise
}

// certifi judges Python's requests. Debian has it read the system's roots.
func (m Machine) certifi(ctx context.Context, r rule, python Python) Verdict {
	file, variable := python.Certifi, ""
	for _, name := range r.files {
		if value := m.Env(name); value != "" && variable == "" {
			file, variable = value, name
		}
	}
	pool := x509.NewCertPool()
	err := addAny(pool, file)
	if err == nil {
		err = m.Handshake(ctx, pool)
	}
	switch {
	case err == nil && variable != "":
		return Verdict{State: OK, Detail: "by " + variable}
	case err == nil:
		return Verdict{State: OK, Detail: "reads " + file}
	case variable != "":
		return Verdict{Fail, fmt.Sprintf("does not trust the root: %s points to %s, which lacks it", variable, file), m.mend(file, m.tryExec(r))}
	case slices.Contains(m.SystemFiles, file):
		return worst(Verdict{Fail, "does not trust the root: " + file + " lacks it", m.Trust}, m.storeIfAny(r))
	}
	return Verdict{Warn, "reads no store but its own list: " + file, m.tryExec(r)}
}

// added judges a client with a list of its own.
func (m Machine) added(ctx context.Context, r rule) Verdict {
	missing := ""
	for _, name := range r.adds {
		value := m.Env(name)
		if value == "" {
			continue
		}
		pool, err := FilePool(value)
		if err == nil {
			err = m.Handshake(ctx, pool)
		}
		if err == nil {
			return Verdict{State: OK, Detail: "by " + name}
		}
		missing = fmt.Sprintf("; %s points to %s, which lacks the root", name, value)
		if errors.Is(err, fs.ErrNotExist) {
			missing = fmt.Sprintf("; %s points to %s, which is not there", name, value)
		}
	}
	return Verdict{Warn, "reads no store but its own list" + missing, m.tryExec(r)}
}

// java judges the key store of a Java installation, or the one that variables
// name instead.
func (m Machine) java(r rule, program string) Verdict {
	for _, name := range r.files {
		options := m.Env(name)
		if !strings.Contains(options, "trustStore") {
			continue
		}
		file := trustStore(options)
		if file == "" || !filepath.IsAbs(file) {
			return Verdict{State: Unknown, Detail: "cannot tell which trust store " + name + " names"}
		}
		holds, err := keystoreHolds(file, m.Root)
		switch {
		case err != nil:
			return Verdict{Fail, fmt.Sprintf("%s names a trust store that cannot be read: %v", name, err), "unset " + name}
		case holds:
			return Verdict{State: OK, Detail: "by " + name}
		}
		return Verdict{Fail, fmt.Sprintf("does not trust the root: %s points to %s, which lacks it", name, file), "unset " + name}
	}
	file := javaStore(program)
	if file == "" {
		return Verdict{State: Unknown, Detail: fmt.Sprintf("cannot tell which key store %s reads", program)}
	}
	holds, err := keystoreHolds(file, m.Root)
	if err != nil {
		return Verdict{State: Unknown, Detail: err.Error()}
	}
	v := Verdict{State: OK, Detail: "reads " + file}
	known := false // to trust, which then mends it without being asked for Java
	for _, s := range m.Stores {
		if strings.HasPrefix(s.Name, r.storeOf()) && sameFile(s.Location, file) {
			v, known = worst(v, s.Verdict), true
		}
	}
	switch {
	case holds:
		return v
	case known:
		return worst(Verdict{Fail, "does not trust the root: " + file + " lacks it", m.Trust}, v)
	}
	return Verdict{Fail, "does not trust the root: " + file + " lacks it", m.Trust + " --java"}
}

// trustStore returns the file that Java's options name as trust store.
func trustStore(options string) string {
	const option = "-Djavax.net.ssl.trustStore="
	file := ""
	for _, word := range strings.Fields(options) {
		if value, ok := strings.CutPrefix(strings.Trim(word, `"'`), option); ok {
			file = strings.Trim(value, `"'`)
		}
	}
	return file
}

// store returns the worst of what the client's stores say.
func (m Machine) store(r rule) Verdict {
	v, found := m.stores(r)
	if !found {
		return Verdict{State: Unknown, Detail: "it has no store that devproxy knows here"}
	}
	return v
}

// storeIfAny is store for clients whose roots were looked at already.
func (m Machine) storeIfAny(r rule) Verdict {
	if v, found := m.stores(r); found {
		return v
	}
	return Verdict{State: OK}
}

func (m Machine) stores(r rule) (v Verdict, found bool) {
	v.State = OK
	for _, s := range m.Stores {
		if !strings.HasPrefix(s.Name, r.storeOf()) {
			continue
		}
		found = true
		if s.State == Fail && s.Fix == "" {
			s.Fix = m.Trust
		}
		switch s.State {
		case OK:
		case Fail:
			s.Detail = strings.TrimSuffix("its store does not trust the root: "+s.Detail, ": ")
		default:
			s.Detail = strings.TrimSuffix("cannot tell what its store says: "+s.Detail, ": ")
		}
		v = worst(v, s.Verdict)
	}
	return v, found
}
