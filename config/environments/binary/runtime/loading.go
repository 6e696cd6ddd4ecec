package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const orderLimit = 1 << 20

// failure is an error of the contract: who is at fault is told by its status and reason.
type failure struct {
	status  int
	reason  string
	message string
}

func (f *failure) Error() string { return f.message }

// order is what a load request asks for.
type order struct {
	Filepath   string            `json:"filepath"`
	Entrypoint string            `json:"functionName"`
	Env        map[string]string `json:"env"`
}

// function is what has been loaded.
type function interface {
	http.Handler
	// end lets go of it, within the limit of the context.
	end(context.Context)
}

// loading holds the one function of this process, and how it came to be.
type loading struct {
	settings settings
	server   *http.Server
	stopping atomic.Bool

	one      sync.Mutex // held while a load runs: the same order again waits for it
	loaded   *order
	function atomic.Pointer[function]
}

// ServeHTTP says which request is ours and which the user's.
func (l *loading) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	loaded := l.function.Load()
	switch {
	case r.URL.Path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "ok\n")
	case r.Method == http.MethodPost && (r.URL.Path == "/v2/specialize" || r.URL.Path == "/specialize"):
		l.serveLoad(w, r)
	case loaded != nil:
		(*loaded).ServeHTTP(w, r)
	default:
		sendError(w, r, "runtime", &failure{http.StatusServiceUnavailable, "NotLoaded", "no function is loaded in this pod yet"}, "no")
	}
}

func (l *loading) serveLoad(w http.ResponseWriter, r *http.Request) {
	milliseconds, err := l.ordered(r)
	if err != nil {
		told := &failure{http.StatusInternalServerError, "LoadFailed", err.Error()}
		_ = errors.As(err, &told)
		sendError(w, r, "runtime", told, "no")
		return
	}
	sendJSON(w, http.StatusOK, fields{"loaded": true, "milliseconds": milliseconds})
}

func (l *loading) ordered(r *http.Request) (float64, error) {
	if !isLoopback(r.RemoteAddr) {
		return 0, &failure{http.StatusForbidden, "NotLoopback", "a load is taken from this pod only"}
	}
	wanted := order{Filepath: l.settings.v1File}
	if r.URL.Path != "/specialize" {
		parsed, err := parseOrder(r.Body)
		if err != nil {
			return 0, err
		}
		wanted = parsed
	}
	return l.load(wanted)
}

// load loads once. The same order again is fine.
func (l *loading) load(wanted order) (float64, error) {
	begun := time.Now()
	l.one.Lock()
	defer l.one.Unlock()
	if l.loaded != nil {
		if l.loaded.Filepath == wanted.Filepath && l.loaded.Entrypoint == wanted.Entrypoint {
			return 0, nil
		}
		message := strings.TrimSpace("already loaded: this pod serves " + l.loaded.Filepath + " " + l.loaded.Entrypoint)
		return 0, &failure{http.StatusBadRequest, "AlreadyLoaded", message}
	}
	found, err := l.open(wanted)
	if err != nil {
		emit("ERROR", "runtime", "load failed", fields{"error": err.Error(), "filepath": wanted.Filepath})
		return 0, err
	}
	l.loaded = &wanted
	l.function.Store(&found)
	milliseconds := float64(time.Since(begun).Microseconds()) / 1000
	emit("INFO", "runtime", "loaded", fields{"filepath": wanted.Filepath, "milliseconds": milliseconds})
	return milliseconds, nil
}

func (l *loading) open(wanted order) (function, error) {
	found, err := locate(wanted)
	if err != nil {
		return nil, err
	}
	if found.serves {
		return l.startProgram(found)
	}
	return newScript(found, l.settings.concurrency)
}

func (l *loading) end(limit context.Context) {
	if loaded := l.function.Load(); loaded != nil {
		(*loaded).end(limit)
	}
}

// isLoopback tells whether a peer is this machine itself; an unknown peer is not.
func isLoopback(peer string) bool {
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		return false
	}
	address := net.ParseIP(host)
	return address != nil && address.IsLoopback()
}

func parseOrder(body io.Reader) (order, error) {
	var wanted order
	invalid := func(message string) (order, error) {
		return order{}, &failure{http.StatusBadRequest, "OrderInvalid", message}
	}
	words, err := io.ReadAll(io.LimitReader(body, orderLimit+1))
	if err != nil || len(words) > orderLimit {
		return invalid("the body cannot be read, or is too large")
	}
	if err := json.Unmarshal(words, &wanted); err != nil {
		return invalid(fmt.Sprintf("the body is not an order: %v", err))
	}
	if wanted.Filepath == "" || strings.ContainsRune(wanted.Filepath, 0) {
		return invalid("filepath must be the path of the unpacked package")
	}
	for name, value := range wanted.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return invalid("env must map names to text")
		}
	}
	return wanted, nil
}

// sendError says whose the error is, and whether user code ran.
func sendError(w http.ResponseWriter, r *http.Request, component string, told *failure, executed string) {
	var id any
	if given := r.Header.Get("X-Request-Id"); given != "" {
		id = given
	}
	sendJSON(w, told.status, fields{
		"component": component, "reason": told.reason, "message": told.message, "requestId": id, "executed": executed,
	})
}

func sendJSON(w http.ResponseWriter, status int, value fields) {
	body, err := json.Marshal(value)
	if err != nil {
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
