package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"time"
)

type fields map[string]any

var logLock sync.Mutex

// emit writes one record, as every runtime of ours does: one JSON object a line.
func emit(level, target, message string, more fields) {
	record := fields{
		"timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "level": level, "target": target, "message": message,
	}
	for name, value := range more {
		record[name] = value
	}
	if line, err := json.Marshal(record); err == nil {
		write(line)
	}
}

func write(line []byte) {
	logLock.Lock()
	defer logLock.Unlock()
	_, _ = os.Stdout.Write(append(line, '\n'))
}

// quiet is for net/http's own log, which tells of connections that callers broke.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

const (
	// maxLine is how much of one line is kept together.
	maxLine = 64 << 10
	// keptBytes and keptLines say how much of a program's last words is kept for whoever has to know why it failed.
	keptBytes = 8 << 10
	keptLines = 12
)

// lines makes records of what a program prints, and keeps the end of it. A line that is a JSON object already is passed
// on as it is: a program that logs in its own structure keeps it.
type lines struct {
	level     string
	requestID string

	mutex sync.Mutex
	rest  []byte
	last  []byte
}

func (l *lines) Write(piece []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.last = append(l.last, piece...)
	if excess := len(l.last) - keptBytes; excess > 0 {
		l.last = append(l.last[:0], l.last[excess:]...)
	}
	l.rest = append(l.rest, piece...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 && len(l.rest) < maxLine {
			return len(piece), nil
		}
		if end < 0 {
			end = len(l.rest) - 1
		}
		l.say(bytes.TrimRight(l.rest[:end+1], "\r\n"))
		l.rest = append(l.rest[:0], l.rest[end+1:]...)
	}
}

// flush says what has no end of line.
func (l *lines) flush() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.say(l.rest)
	l.rest = nil
}

func (l *lines) say(line []byte) {
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	if line[0] == '{' && json.Valid(line) {
		write(bytes.Clone(line))
		return
	}
	more := fields{}
	if l.requestID != "" {
		more["requestId"] = l.requestID
	}
	emit(l.level, "function", string(line), more)
}

// tail is the end of what was said.
func (l *lines) tail() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	said := strings.Split(strings.TrimRight(string(l.last), "\n"), "\n")
	return strings.Join(said[max(0, len(said)-keptLines):], "\n")
}
