package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"muon.dev/contract"
)

// emit writes a record of the launcher's own.
func emit(level, message string, more contract.Fields) {
	contract.Emit(level, "runtime", message, more)
}

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
	told := &contract.Failure{Status: http.StatusInternalServerError}
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
