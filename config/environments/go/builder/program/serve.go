package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
)

const parameterPrefix = "Muon-Path-Param-"

// front is before the user's handler: what belongs to the contract, the request's id, and what a panic leaves behind.
type front struct {
	handler    http.Handler
	filepath   string
	entrypoint string
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/healthz":
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "ok\n")
			return
		}
	case "/v2/specialize", "/specialize":
		if r.Method == http.MethodPost {
			f.serveLoad(w, r)
			return
		}
	}
	id := r.Header.Get("X-Request-Id")
	if id == "" {
		id = newID()
	}
	setParameters(r)
	a := &answer{ResponseWriter: w}
	r = r.WithContext(requestContext{r.Context(), id})
	defer recovered(a, r)
	f.handler.ServeHTTP(a, r)
}

// requestContext carries the request's id to the log, without a search through values.
type requestContext struct {
	context.Context
	id string
}

type idKey struct{}

func (c requestContext) Value(key interface{}) interface{} {
	if _, asked := key.(idKey); asked {
		return c.id
	}
	return c.Context.Value(key)
}

func newID() string {
	var bytes [8]byte
	_, _ = rand.Read(bytes[:])
	return hex.EncodeToString(bytes[:])
}

// setParameters gives the parameters of the route's path pattern to r.PathValue. They travel as headers, so their names
// are lower-case.
func setParameters(r *http.Request) {
	for name, values := range r.Header {
		if strings.HasPrefix(name, parameterPrefix) && len(values) > 0 {
			value, err := url.PathUnescape(values[0])
			if err != nil {
				value = values[0]
			}
			r.SetPathValue(strings.ToLower(name[len(parameterPrefix):]), value)
		}
	}
}

// answer knows whether something was sent, and is otherwise what net/http gives: streams and upgrades work through it.
type answer struct {
	http.ResponseWriter
	begun bool
}

func (a *answer) WriteHeader(status int) {
	if status >= 200 {
		a.begun = true
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(bytes []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(bytes)
}

func (a *answer) WriteString(text string) (int, error) {
	a.begun = true
	return io.WriteString(a.ResponseWriter, text)
}

func (a *answer) ReadFrom(from io.Reader) (int64, error) {
	a.begun = true
	return io.Copy(a.ResponseWriter, from)
}

func (a *answer) Flush() {
	a.begun = true
	if flusher, ok := a.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
}

func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.begun = true
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func recovered(a *answer, r *http.Request) {
	value := recover()
	if value == nil {
		return
	}
	if value == http.ErrAbortHandler {
		panic(value)
	}
	failed(a, r, "the handler panicked", value, userStack())
}

// failed logs an error of the user's code and answers with it. What has begun can only be cut, which the caller sees.
func failed(a *answer, r *http.Request, message string, value interface{}, stack string) {
	more := fields{"error": fmt.Sprint(value)}
	if stack != "" {
		more["traceback"] = stack
	}
	if err, ok := value.(error); ok {
		more["error"] = fmt.Sprintf("%T: %v", err, err)
	}
	id, _ := r.Context().Value(idKey{}).(string)
	more["requestId"] = id
	emit("ERROR", message, more)
	if a.begun {
		panic(http.ErrAbortHandler)
	}
	for name := range a.Header() {
		a.Header().Del(name)
	}
	sendJSON(a, http.StatusInternalServerError, fields{
		"component": "function", "reason": "Exception", "message": fmt.Sprint(value), "requestId": id, "executed": "yes",
	})
}

// userStack is the stack of a panic from the user's frames on, without the server's below them.
func userStack() string {
	lines := strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")
	from, to := 0, len(lines)
	for at := 1; at+1 < len(lines); at += 2 {
		if strings.HasPrefix(lines[at], "panic(") {
			from = at + 2
		}
		if from > 0 && strings.HasPrefix(lines[at], "main.(*front).ServeHTTP") {
			to = at
			break
		}
	}
	return strings.Join(lines[from:to], "\n")
}

// serveLoad answers a load of what is loaded: the launcher had the order before.
func (f *front) serveLoad(w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if peer := net.ParseIP(host); peer == nil || !peer.IsLoopback() {
		w.Header().Set("Connection", "close")
		refuse(w, r, http.StatusForbidden, "NotLoopback", "a load is taken from this pod only")
		return
	}
	var order struct {
		Filepath   string `json:"filepath"`
		Entrypoint string `json:"functionName"`
	}
	if r.URL.Path == "/v2/specialize" {
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&order); err != nil {
			refuse(w, r, http.StatusBadRequest, "OrderInvalid", "the body is not an order: "+err.Error())
			return
		}
	} else {
		order.Filepath, order.Entrypoint = f.filepath, f.entrypoint
	}
	if order.Filepath != f.filepath || order.Entrypoint != f.entrypoint {
		message := fmt.Sprintf("this pod is already loaded, with %s of %s", f.entrypoint, f.filepath)
		refuse(w, r, http.StatusBadRequest, "AlreadyLoaded", message)
		return
	}
	sendJSON(w, http.StatusOK, fields{"loaded": true, "milliseconds": 0})
}

func refuse(w http.ResponseWriter, r *http.Request, status int, reason, message string) {
	var id interface{}
	if given := r.Header.Get("X-Request-Id"); given != "" {
		id = given
	}
	sendJSON(w, status, fields{"component": "runtime", "reason": reason, "message": message, "requestId": id, "executed": "no"})
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
