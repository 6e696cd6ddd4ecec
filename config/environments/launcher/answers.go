package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

const orderLimit = 1 << 20

// failure is an error of the contract: who is at fault is told by its status and reason.
type failure struct {
	status  int
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (f *failure) Error() string { return f.Reason + ": " + f.Message }

// order is what a load request asks for.
type order struct {
	Filepath   string            `json:"filepath"`
	Entrypoint string            `json:"functionName"`
	Env        map[string]string `json:"env"`
}

// ServeHTTP answers while no program does: health, loads, and that nothing is loaded yet.
func (l *launcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "ok\n")
	case r.Method == http.MethodPost && (r.URL.Path == "/v2/specialize" || r.URL.Path == "/specialize"):
		milliseconds, err := l.serveLoad(r)
		if err != nil {
			sendError(w, r, err)
			return
		}
		// The program has the socket now: who wants something of this pod shall connect anew, and reach the program.
		w.Header().Set("Connection", "close")
		sendJSON(w, http.StatusOK, fields{"loaded": true, "milliseconds": milliseconds})
	default:
		w.Header().Set("Connection", "close")
		sendError(w, r, &failure{http.StatusServiceUnavailable, "NotLoaded", "no function is loaded in this pod yet"})
	}
}

func (l *launcher) serveLoad(r *http.Request) (int64, error) {
	if !isLoopback(r.RemoteAddr) {
		return 0, &failure{http.StatusForbidden, "NotLoopback", "a load is taken from this pod only"}
	}
	if r.URL.Path == "/specialize" {
		return l.load(order{Filepath: l.settings.v1File})
	}
	wanted, err := parseOrder(r.Body)
	if err != nil {
		return 0, err
	}
	return l.load(wanted)
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
	text, err := io.ReadAll(io.LimitReader(body, orderLimit+1))
	if err != nil || len(text) > orderLimit {
		return invalid("the body cannot be read, or is too large")
	}
	if err := json.Unmarshal(text, &wanted); err != nil {
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

func sendError(w http.ResponseWriter, r *http.Request, err error) {
	told := &failure{http.StatusInternalServerError, "LoadFailed", err.Error()}
	_ = errors.As(err, &told)
	var id interface{}
	if given := r.Header.Get("X-Request-Id"); given != "" {
		id = given
	}
	sendJSON(w, told.status, fields{
		"component": "runtime", "reason": told.Reason, "message": told.Message, "requestId": id, "executed": "no",
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
