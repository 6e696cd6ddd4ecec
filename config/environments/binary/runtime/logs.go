package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"

	"muon.dev/contract"
)

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
		contract.WriteLine(bytes.Clone(line))
		return
	}
	more := contract.Fields{}
	if l.requestID != "" {
		more["requestId"] = l.requestID
	}
	contract.Emit(l.level, "function", string(line), more)
}

// tail is the end of what was said.
func (l *lines) tail() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	said := strings.Split(strings.TrimRight(string(l.last), "\n"), "\n")
	return strings.Join(said[max(0, len(said)-keptLines):], "\n")
}
