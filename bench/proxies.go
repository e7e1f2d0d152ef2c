package main

import "strconv"

// The proxies that can be compared.

func devproxyKind() kind {
	return kind{
		name:   "devproxy",
		config: "devproxy.toml",
		argv: func(c *contender, _ settings) []string {
			return []string{c.binary, "serve", "--config", c.configFile()}
		},
		env: func(b *bench) []string { return []string{"DEVPROXY_HOME=" + b.authority.dir} },
	}
}

func caddyKind() kind {
	return kind{
		name:   "caddy",
		config: "Caddyfile",
		argv: func(c *contender, _ settings) []string {
			argv := []string{c.binary, "run", "--adapter", "caddyfile", "--config", c.configFile()}
			if c.watching {
				argv = append(argv, "--watch")
			}
			return argv
		},
	}
}

func nginxKind() kind {
	return kind{
		name:   "nginx",
		config: "nginx.conf",
		argv: func(c *contender, _ settings) []string {
			return []string{c.binary, "-p", c.dir, "-c", c.configFile(), "-e", "stderr"}
		},
	}
}

func haproxyKind() kind {
	return kind{
		name:   "haproxy",
		config: "haproxy.cfg",
		argv: func(c *contender, _ settings) []string {
			return []string{c.binary, "-db", "-f", c.configFile()}
		},
	}
}

func stockKind() kind {
	return kind{
		name: "stock",
		argv: func(c *contender, s settings) []string {
			return []string{c.binary, "-listen", s.Listen, "-cert", s.Cert, "-key", s.Key,
				"-app", s.Backend, "-live", s.Live, "-pool", strconv.Itoa(s.Pool)}
		},
	}
}
