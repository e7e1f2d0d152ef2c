package config

func defaultLog() Log {
	return Log{Level: "info", Format: "console", Access: true}
}

// readLog reads [log].
func readLog(t table, log *Log) {
	if level, ok := t.choice("level", "debug", "info", "warn", "error"); ok {
		log.Level = level
	}
	if format, ok := t.choice("format", "console", "json"); ok {
		log.Format = format
	}
	if access, ok := t.flag("access"); ok {
		log.Access = access
	}
}
