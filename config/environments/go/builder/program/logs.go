package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"os"
	"time"
)

type fields map[string]interface{}

// emit writes a record of the server's own, in the shape that all records have.
func emit(level, message string, more fields) {
	record := fields{"timestamp": time.Now().UTC().Format(timeFormat), "level": level, "target": "function", "message": message}
	for name, value := range more {
		record[name] = value
	}
	if line, err := json.Marshal(record); err == nil {
		_, _ = os.Stdout.Write(append(line, '\n'))
	}
}

const timeFormat = "2006-01-02T15:04:05.000Z"

// giveUp tells the launcher, in the last line on stderr, why there is nothing to serve.
func giveUp(reason, message string) {
	line, _ := json.Marshal(fields{"reason": reason, "message": message})
	_, _ = os.Stderr.Write(append(line, '\n'))
	os.Exit(1)
}

// serverLog is for net/http's own log, which tells of connections that callers broke.
func serverLog() *log.Logger { return log.New(io.Discard, "", 0) }

// logInstall makes one JSON object a line of what user code gives to log/slog, and to log.
func logInstall() {
	options := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: rename}
	slog.SetDefault(slog.New(withID{slog.NewJSONHandler(os.Stdout, options).WithAttrs([]slog.Attr{slog.String("target", "function")})}))
}

func rename(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return attr
	}
	switch attr.Key {
	case slog.TimeKey:
		if attr.Value.Kind() != slog.KindTime {
			return attr
		}
		return slog.String("timestamp", attr.Value.Time().UTC().Format(timeFormat))
	case slog.LevelKey:
		if level, ok := attr.Value.Any().(slog.Level); ok && level == slog.LevelWarn {
			return slog.String("level", "WARNING")
		}
	case slog.MessageKey:
		attr.Key = "message"
	}
	return attr
}

// withID adds the id of the request whose context a record is written with.
type withID struct{ slog.Handler }

func (h withID) Handle(ctx context.Context, record slog.Record) error {
	if id, ok := ctx.Value(idKey{}).(string); ok {
		record.AddAttrs(slog.String("requestId", id))
	}
	return h.Handler.Handle(ctx, record)
}

func (h withID) WithAttrs(attrs []slog.Attr) slog.Handler { return withID{h.Handler.WithAttrs(attrs)} }

func (h withID) WithGroup(name string) slog.Handler { return withID{h.Handler.WithGroup(name)} }
