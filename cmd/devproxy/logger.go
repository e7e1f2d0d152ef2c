package main

import (
	"bytes"
	"io"
	"log"
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
	return zap.New(zapcore.NewCore(encoder(enc), zapcore.AddSync(w), level))
}

// setLevel applies a level that config has checked.
func setLevel(level zap.AtomicLevel, name string) {
	if l, err := zapcore.ParseLevel(name); err == nil {
		level.SetLevel(l)
	}
}

// takeStandardLog sends what libraries write to Go's standard logger to ours,
// until the returned function is called.
func takeStandardLog(to *zap.Logger) (restore func()) {
	w, flags := log.Writer(), log.Flags()
	log.SetOutput(standardLog{to})
	log.SetFlags(0)
	return func() {
		log.SetOutput(w)
		log.SetFlags(flags)
	}
}

// standardLog is what takeStandardLog puts in place. net/http writes there
// what a backend sent at the wrong time, bodies and cookies included: that
// part is left out.
type standardLog struct{ to *zap.Logger }

func (l standardLog) Write(line []byte) (int, error) {
	text, _, cut := bytes.Cut(bytes.TrimSpace(line), []byte(" starting with "))
	l.to.Debug("library", zap.ByteString("detail", text), zap.Bool("cut", cut))
	return len(line), nil
}
