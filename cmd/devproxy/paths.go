package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"devproxy/internal/config"
)

// home returns the person's home folder.
func (a *app) home() (string, error) {
	name := "HOME"
	if runtime.GOOS == "windows" {
		name = "USERPROFILE"
	}
	home := a.env(name)
	if !filepath.IsAbs(home) {
		return "", withHint(&usageError{errors.New("find the home folder: " + name + " is not set to an absolute path")},
			"set %s, or DEVPROXY_HOME to the folder where devproxy shall keep its certificates", name)
	}
	return home, nil
}

// dataHome and configHome follow the XDG base directory specification, which
// says to ignore relative paths. macOS and Windows have places of their own.
func (a *app) dataHome(home string) string {
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(home, "Library", "Application Support")
	case "windows":
		if dir := a.env("LOCALAPPDATA"); filepath.IsAbs(dir) {
			return dir
		}
		return filepath.Join(home, "AppData", "Local")
	}
	if dir := a.env("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(home, ".local", "share")
}

func (a *app) configHome(home string) string {
	if dir := a.env("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	if runtime.GOOS == "windows" {
		if dir := a.env("APPDATA"); filepath.IsAbs(dir) {
			return dir
		}
		return filepath.Join(home, "AppData", "Roaming")
	}
	return filepath.Join(home, ".config")
}

// stateDir returns the folder that holds the CA and the receipts of trust.
//
// It refuses to serve under sudo, which all other commands have left behind by
// now: state would land in root's home, or root's files in the person's, and
// the next start without sudo would see another CA.
func (a *app) stateDir() (string, error) {
	if variable, _ := a.sudoCaller(); variable != "" {
		hint := "start it as yourself"
		if runtime.GOOS == "linux" {
			hint += "; to let it have ports 443 and 80, run once: " + lowPorts
		}
		return "", withHint(usagef("the server was started with sudo"), "%s", hint)
	}
	if dir := a.env("DEVPROXY_HOME"); dir != "" {
		if !filepath.IsAbs(dir) {
			return "", withHint(usagef("DEVPROXY_HOME is %q: it must be an absolute path", dir),
				"write the whole path, or unset it for the usual place")
		}
		return filepath.Clean(dir), nil
	}
	home, err := a.home()
	if err != nil {
		return "", err
	}
	return filepath.Join(a.dataHome(home), "devproxy"), nil
}

// workingDir returns the absolute path of the working directory.
func workingDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", withHint(&usageError{err}, "change to a folder that exists and that you may enter, or give --config")
	}
	return dir, nil
}

// configSearch returns where devproxy.toml is looked for. Without a home
// folder only the working directory and its parents remain.
func (a *app) configSearch() (config.Search, error) {
	dir, err := workingDir()
	if err != nil {
		return config.Search{}, err
	}
	search := config.Search{Dir: dir, UID: os.Geteuid()} // -1 on Windows
	if home, err := a.home(); err == nil {
		search.Home = home
		search.ConfigHome = a.configHome(home)
	}
	return search, nil
}
