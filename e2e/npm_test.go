package e2e

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Packages of npm come without npm, which is some 350 packages of Debian: a
// lock file has the address and the hash of every file that is needed.

const (
	envNPM        = "DEVPROXY_E2E_NPM"         // the folder that holds node_modules
	envNPMProblem = "DEVPROXY_E2E_NPM_PROBLEM" // or why there is none
)

// npmProject is the project in testdata whose packages are fetched.
const npmProject = "testdata/vite"

// defaultRegistry is where a lock file says that packages are.
const defaultRegistry = "https://registry.npmjs.org/"

// npmTime bounds the download of all packages, some 10 MB.
const npmTime = 2 * time.Minute

// npmEnvironment fetches the packages of npmProject, unless an earlier run has,
// and returns what the inner process, which has no network, needs to know.
func npmEnvironment() string {
	dir, err := fetchPackages(filepath.Join(npmProject, "package-lock.json"))
	if err != nil {
		return envNPMProblem + "=" + err.Error()
	}
	return envNPM + "=" + dir
}

// npmPackage returns the folder of a package.
func npmPackage(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv(envNPM)
	if dir == "" {
		missing(t, os.Getenv(envNPMProblem))
	}
	return filepath.Join(dir, "node_modules", name)
}

// A lockedPackage is an entry of a package-lock.json.
type lockedPackage struct {
	Resolved, Integrity string
	OS, CPU, Libc       []string // empty for any
}

// fits reports whether the package is for this system.
func (p lockedPackage) fits() bool {
	has := func(list []string, name string) bool { return len(list) == 0 || slices.Contains(list, name) }
	cpu := cmp.Or(map[string]string{"amd64": "x64", "386": "ia32"}[runtime.GOARCH], runtime.GOARCH)
	return has(p.OS, runtime.GOOS) && has(p.CPU, cpu) && has(p.Libc, "glibc")
}

// fetchPackages returns a folder with the node_modules of a lock file, in the
// user's cache. Scripts of packages are not run.
func fetchPackages(lockFile string) (string, error) {
	text, err := os.ReadFile(lockFile)
	if err != nil {
		return "", err
	}
	var lock struct{ Packages map[string]lockedPackage }
	if err := json.Unmarshal(text, &lock); err != nil {
		return "", fmt.Errorf("%s: %v", lockFile, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "devproxy-e2e")
	final := filepath.Join(cache, fmt.Sprintf("npm-%s-%.8x", runtime.GOARCH, sha256.Sum256(text)))
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}

	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	root, err := os.OpenRoot(temp)
	if err != nil {
		return "", err
	}
	defer root.Close()
	ctx, cancel := context.WithTimeout(context.Background(), npmTime)
	defer cancel()
	registry := npmRegistry()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var problems []error
	for dir, p := range lock.Packages {
		if dir == "" || !p.fits() { // "" is the project itself
			continue
		}
		wg.Go(func() {
			url := registry + strings.TrimPrefix(p.Resolved, defaultRegistry)
			if err := fetchPackage(ctx, root, dir, url, p.Integrity); err != nil {
				mu.Lock()
				defer mu.Unlock()
				problems = append(problems, fmt.Errorf("fetch %s: %v", url, err))
				cancel() // one problem is enough
			}
		})
	}
	wg.Wait()
	if len(problems) > 0 {
		return "", problems[0]
	}
	err = os.Rename(temp, final)
	if errors.Is(err, fs.ErrExist) { // another run was faster
		err = nil
	}
	return final, err
}

// npmRegistry returns the registry that npm would use, with a slash at its end.
func npmRegistry() string {
	registry := os.Getenv("npm_config_registry")
	if home, err := os.UserHomeDir(); err == nil && registry == "" {
		settings, _ := os.ReadFile(filepath.Join(home, ".npmrc")) // few have one
		for line := range strings.Lines(string(settings)) {
			if name, value, _ := strings.Cut(line, "="); strings.TrimSpace(name) == "registry" {
				registry = strings.TrimSpace(value)
			}
		}
	}
	return strings.TrimSuffix(cmp.Or(registry, defaultRegistry), "/") + "/"
}

// fetchPackage unpacks one package into dir below root once its hash is right.
func fetchPackage(ctx context.Context, root *os.Root, dir, url, integrity string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	sum := sha512.Sum512(data)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		return fmt.Errorf("its hash is %s, the lock file wants %s", got, integrity)
	}
	return unpack(root, dir, data)
}

// unpack writes the files of a package. In its archive they are in one folder,
// whose name does not count.
func unpack(root *os.Root, dir string, archive []byte) error {
	zipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return err
	}
	for files := tar.NewReader(zipped); ; {
		header, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		_, name, inFolder := strings.Cut(header.Name, "/")
		if header.Typeflag != tar.TypeReg || !inFolder {
			continue
		}
		name = path.Join(dir, name)
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if header.FileInfo().Mode()&0o100 != 0 {
			mode = 0o755
		}
		file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, files)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
}
