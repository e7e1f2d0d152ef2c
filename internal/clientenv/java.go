package clientenv

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"devproxy/internal/atomicfile"
)

const (
	javaFile    = "java.p12"
	javaOptions = "JAVA_TOOL_OPTIONS"
	javaOption  = "-Djavax.net.ssl.trustStore="
)

// javaLater are the variables whose options count after those of
// JAVA_TOOL_OPTIONS.
var javaLater = []string{"JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"}

func (s *setup) addJava() error {
	path := filepath.Join(s.Dir, javaFile)
	for _, name := range javaLater {
		if store, ok := javaStore(s.env(name)); ok && !sameFile(store, path) {
			s.warnf("%s names another trust store, %s, and Java follows that", name, store)
		}
	}
	options := s.env(javaOptions)
	words, err := splitJVM(options)
	if err != nil {
		s.warnf("%s stays as it is, without devproxy's trust store: %v", javaOptions, err)
		return nil
	}
	if s.system.err != nil {
		s.warnf("%s is left out for the same reason", javaOptions)
		return nil
	}
	store, ok := javaStore(options)
	if ok && store != path && !sameFile(store, path) {
		s.warnf("%s stays as it is, without devproxy's root: it names another trust store, %s", javaOptions, store)
		return nil
	}
	if err := s.writeJava(path, s.system); err != nil {
		return err
	}
	switch {
	case ok: // from an outer devproxy
	case len(words) == 0:
		options = quoteJVM(javaOption + path)
	default:
		options += " " + quoteJVM(javaOption+path)
	}
	s.vars = append(s.vars, Variable{javaOptions, options})
	return nil
}

// refreshJava brings Java's trust store up to date if there is one.
func (b Bundles) refreshJava(system systemRoots) error {
	path := filepath.Join(b.Dir, javaFile)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if system.err != nil {
		system.certs = b.storedSystem()
	}
	if len(system.certs) == 0 {
		return nil
	}
	return b.writeJava(path, system)
}

// storedSystem returns the system's roots as the bundle last had them.
func (b Bundles) storedSystem() [][]byte {
	c, err := b.read(b.path(file{kind: combined}))
	if err != nil {
		return nil
	}
	return c.system
}

// writeJava writes a trust store unless it is there already. Java reads it
// without a password, which keytool's own stores need (clients.md §11). Without
// one there is no salt either: the same roots are the same bytes.
func (b Bundles) writeJava(path string, system systemRoots) error {
	seen := map[[sha256.Size]byte]bool{}
	var entries []pkcs12.TrustStoreEntry
	for _, der := range slices.Concat([][]byte{b.Root.Raw}, system.certs) {
		sum := sha256.Sum256(der)
		if seen[sum] {
			continue
		}
		seen[sum] = true
		// Java forgets all but one of the entries of a name, and two roots may
		// have one subject.
		entries = append(entries, pkcs12.TrustStoreEntry{
			Cert:         &x509.Certificate{Raw: der},
			FriendlyName: hex.EncodeToString(sum[:]),
		})
	}
	data, err := pkcs12.Passwordless.EncodeTrustStoreEntries(entries, "")
	if err != nil {
		return fmt.Errorf("make a trust store for Java: %v", err)
	}
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, data) {
		return nil
	}
	if err := atomicfile.Replace(path, data, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, atomicfile.Cause(err))
	}
	return nil
}

// javaStore returns the trust store that options name: the last, as Java has
// it.
func javaStore(options string) (path string, ok bool) {
	words, _ := splitJVM(options)
	for _, w := range words {
		if value, found := strings.CutPrefix(w, javaOption); found {
			path, ok = value, true
		}
	}
	return path, ok
}

// jvmSpace separates options: isspace in C.
const jvmSpace = " \t\n\v\f\r"

// splitJVM splits options as the JVM does with its variables: at white space
// but for what is in quotes of either kind, which may begin anywhere in an
// option; nothing escapes
// (https://docs.oracle.com/en/java/javase/17/docs/specs/jvmti.html#tooloptions
// and parse_options_buffer in HotSpot).
func splitJVM(options string) ([]string, error) {
	var words []string
	rest := strings.TrimLeft(options, jvmSpace)
	for rest != "" {
		var word strings.Builder
		for rest != "" && !strings.ContainsRune(jvmSpace, rune(rest[0])) {
			c := rest[0]
			if c != '"' && c != '\'' {
				word.WriteByte(c)
				rest = rest[1:]
				continue
			}
			quoted, after, closed := strings.Cut(rest[1:], string(c))
			if !closed {
				return nil, errors.New("a quote in it is not closed")
			}
			word.WriteString(quoted)
			rest = after
		}
		words = append(words, word.String())
		rest = strings.TrimLeft(rest, jvmSpace)
	}
	return words, nil
}

// quoteJVM returns an option that splitJVM takes for one.
func quoteJVM(option string) string {
	if !strings.ContainsAny(option, jvmSpace+`"'`) {
		return option
	}
	return `"` + strings.ReplaceAll(option, `"`, `"'"'"`) + `"`
}
