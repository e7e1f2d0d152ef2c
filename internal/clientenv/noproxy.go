package clientenv

import (
	"runtime"
	"slices"
	"strings"
)

// noProxyNames are both spellings: curl prefers the second, Go the first.
// Windows does not tell them apart.
func noProxyNames() []string {
	if runtime.GOOS == "windows" {
		return []string{"NO_PROXY"}
	}
	return []string{"NO_PROXY", "no_proxy"}
}

// noProxy keeps a proxy out of the way to this machine: the person's values of
// both spellings, then the loopback names and hosts. A leading dot stands for
// every name below. An asterisk alone already means every host, and only
// alone.
func noProxy(env func(string) string, hosts []string) []Variable {
	var list []string
	add := func(entry string) {
		if entry = strings.TrimSpace(entry); entry != "" && !slices.Contains(list, entry) {
			list = append(list, entry)
		}
	}
	everything := func(value string) bool { return strings.TrimSpace(value) == "*" }
	names := noProxyNames()
	for _, name := range names {
		if value := env(name); !everything(value) {
			for entry := range strings.SplitSeq(value, ",") {
				add(entry)
			}
		}
	}
	for _, host := range slices.Concat([]string{"localhost", "127.0.0.1", "::1"}, hosts) {
		add(strings.TrimPrefix(host, "*"))
	}
	var vars []Variable
	for _, name := range names {
		value := env(name)
		if !everything(value) {
			value = strings.Join(list, ",")
		}
		vars = append(vars, Variable{name, value})
	}
	return vars
}
