package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

type fields map[string]interface{}

// emit writes one record, as every runtime of ours does: one JSON object a line.
func emit(level, message string, more fields) {
	record := fields{
		"timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "level": level, "target": "runtime", "message": message,
	}
	for name, value := range more {
		record[name] = value
	}
	if line, err := json.Marshal(record); err == nil {
		_, _ = os.Stdout.Write(append(line, '\n'))
	}
}

// quiet is for net/http's own log, which tells of connections that callers broke.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// How much of what a program says before it answers is kept for whoever ordered the load.
const (
	keptBytes = 16 << 10
	keptLines = 8
)

// lastWords passes a program's stderr on to ours and keeps the end of it.
type lastWords struct {
	mutex sync.Mutex
	text  []byte
}

func (w *lastWords) copy(from io.Reader) {
	buffer := make([]byte, 4<<10)
	for {
		count, err := from.Read(buffer)
		if count > 0 {
			_, _ = os.Stderr.Write(buffer[:count])
			w.keep(buffer[:count])
		}
		if err != nil {
			return
		}
	}
}

func (w *lastWords) keep(piece []byte) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.text = append(w.text, piece...)
	if excess := len(w.text) - keptBytes; excess > 0 {
		w.text = append(w.text[:0], w.text[excess:]...)
	}
}

func (w *lastWords) lines() []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var lines []string
	for _, line := range strings.Split(string(w.text), "\n") {
		if line = strings.TrimRight(line, " \r"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// failure is what a program said itself of why it cannot serve: its last line, an object with a reason and a message.
func (w *lastWords) failure() error {
	lines := w.lines()
	if len(lines) == 0 {
		return nil
	}
	told := &failure{status: http.StatusInternalServerError}
	if json.Unmarshal([]byte(lines[len(lines)-1]), told) != nil || told.Reason == "" || told.Message == "" {
		return nil
	}
	return told
}

// tail is the part that shows the error: a panic's beginning where there is one, else the end.
func (w *lastWords) tail() string {
	lines := w.lines()
	from := len(lines) - keptLines
	for at, line := range lines {
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") || strings.Contains(line, "' panicked at ") {
			from = at
		}
	}
	from = max(from, 0)
	return strings.Join(lines[from:min(from+keptLines, len(lines))], "\n")
}
