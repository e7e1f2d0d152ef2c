//go:build linux

package trust

import (
	"path/filepath"
	"slices"
)

// chromiumPrograms are the commands of Chromium and of the browsers made from
// it that use the same NSS database.
var chromiumPrograms = []string{
	"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "google-chrome-beta",
	"brave-browser", "microsoft-edge", "microsoft-edge-stable", "vivaldi", "vivaldi-stable", "opera",
}

// chromiumConfigs are the folders they make below the user's configuration.
var chromiumConfigs = []string{
	"chromium", "google-chrome", "google-chrome-beta", "BraveSoftware", "microsoft-edge", "vivaldi", "opera",
}

// chromiumFlatpaks keep their databases where no one has yet seen a root take
// effect; saying so is better than reporting success.
var chromiumFlatpaks = []string{
	"org.chromium.Chromium", "com.google.Chrome", "com.brave.Browser", "com.microsoft.Edge", "com.vivaldi.Vivaldi",
}

// findChromium returns the databases that Chromium and its relatives read, by
// the rule of clients.md §4: ~/.pki/nssdb if that is a folder, even an empty
// one, and then nothing else; otherwise pki/nssdb in the user's data folder.
// The latter is made for a browser that has not been started yet. The former
// is never made: it would hide the latter.
func (m *Machine) findChromium(a anchor) (stores []store, notices []Status) {
	if dir := chromiumDir(m.cfg.Home, m.cfg.DataHome); dir != "" && (hasDatabase(dir) || m.hasChromium()) {
		stores = append(stores, m.database("Chromium", dir))
	}
	// A snap's home is a folder of its own; "current" leads to the one in use.
	if home := filepath.Join(m.cfg.Home, "snap/chromium/current"); isDir(home) {
		dir := chromiumDir(home, filepath.Join(home, ".local/share"))
		stores = append(stores, m.database("Chromium (snap)", dir))
	}
	for _, id := range chromiumFlatpaks {
		if dir := filepath.Join(m.cfg.Home, ".var/app", id); isDir(dir) {
			fix := "import the root certificate in its settings"
			if a.file != "" {
				fix = "import " + a.file + " in its settings"
			}
			notices = append(notices, Status{
				Store:    id + " (flatpak)",
				Location: dir,
				Detail:   "stores of this browser as a flatpak are not supported",
				Fix:      fix,
			})
		}
	}
	return stores, notices
}

// chromiumDir returns the one folder a Chromium with that home reads.
func chromiumDir(home, dataHome string) string {
	if old := filepath.Join(home, ".pki/nssdb"); isDir(old) {
		return old
	}
	if !filepath.IsAbs(dataHome) {
		return ""
	}
	return filepath.Join(dataHome, "pki/nssdb")
}

func (m *Machine) hasChromium() bool {
	if lookUp(m.programPath(), chromiumPrograms...) != "" {
		return true
	}
	return slices.ContainsFunc(chromiumConfigs, func(name string) bool {
		return isDir(filepath.Join(m.cfg.ConfigHome, name))
	})
}
