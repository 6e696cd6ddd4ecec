package contract

import (
	"encoding/json"
	"io"
	"log"
	"os"
	"sync"
	"time"
)

// Fields are what a record says beside its message.
type Fields map[string]any

var lock sync.Mutex

// Emit writes one record, as every runtime of ours does: one JSON object a line.
func Emit(level, target, message string, more Fields) {
	record := Fields{
		"timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "level": level, "target": target, "message": message,
	}
	for name, value := range more {
		record[name] = value
	}
	if line, err := json.Marshal(record); err == nil {
		WriteLine(line)
	}
}

// WriteLine writes a record that is one already.
func WriteLine(line []byte) {
	lock.Lock()
	defer lock.Unlock()
	_, _ = os.Stdout.Write(append(line[:len(line):len(line)], '\n'))
}

// Quiet is for net/http's own log, which tells of connections that callers broke.
func Quiet() *log.Logger { return log.New(io.Discard, "", 0) }
