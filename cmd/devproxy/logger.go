package main

import (
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"devproxy/internal/config"
)

// newLogger builds the one logger of a process. level can change later, the
// format cannot.
func newLogger(w io.Writer, cfg config.Log, level zap.AtomicLevel) *zap.Logger {
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder // durations are in seconds
	encoder := zapcore.NewJSONEncoder
	if cfg.Format == "console" {
		enc.EncodeTime = zapcore.TimeEncoderOfLayout(time.DateTime)
		enc.EncodeDuration = zapcore.StringDurationEncoder
		enc.EncodeLevel = zapcore.CapitalLevelEncoder
		enc.ConsoleSeparator = "  "
		encoder = zapcore.NewConsoleEncoder
	}
	return zap.New(zapcore.NewCore(encoder(enc), zapcore.Lock(zapcore.AddSync(w)), level))
}

// setLevel applies a level that config has checked.
func setLevel(level zap.AtomicLevel, name string) {
	if l, err := zapcore.ParseLevel(name); err == nil {
		level.SetLevel(l)
	}
}
