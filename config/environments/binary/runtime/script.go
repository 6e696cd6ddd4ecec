package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"muon.dev/contract"
)

const (
	// maxHead is how large a script's own header may be.
	maxHead = 64 << 10
	// maxWhole is how much of an answer without a header is kept until the script has ended.
	maxWhole = 16 << 20

	parameterPrefix = "Muon-Path-Param-"
)

// Only what begins with one of these is a header: a script that just prints is not misread.
var headBegins = regexp.MustCompile(`(?i)^(status|content-type|location):`)

var notInNames = regexp.MustCompile(`[^A-Z0-9_]`)

// script is an executable that is run for each request.
type script struct {
	executable
	turns chan struct{}
}

func newScript(found executable, concurrency int) (function, error) {
	if err := checkSyntax(found); err != nil {
		return nil, err
	}
	return &script{found, make(chan struct{}, max(1, concurrency))}, nil
}

func (s *script) end(context.Context) {}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-r.Context().Done():
		return
	}
	id := r.Header.Get("X-Request-Id")
	said := &lines{level: "ERROR", requestID: id}
	answer, err := s.run(w, r, said)
	said.flush()
	if err == nil {
		err = answer.finish(w)
	}
	if err == nil || r.Context().Err() != nil {
		return
	}
	more := contract.Fields{"error": err.Error(), "traceback": said.tail()}
	if id != "" {
		more["requestId"] = id
	}
	contract.Emit("ERROR", "function", "the script failed", more)
	if answer.began {
		panic(http.ErrAbortHandler) // so that nobody takes the piece for the whole
	}
	message := strings.TrimSpace(fmt.Sprintf("%s: %v\n%s", s.name, err, said.tail()))
	contract.SendError(w, r, "function", contract.Fail(http.StatusInternalServerError, "ScriptFailed", message), "yes")
}

// run carries out one request; what it returns has not been sent yet, unless it began.
func (s *script) run(w http.ResponseWriter, r *http.Request, said *lines) (*answer, error) {
	command := exec.CommandContext(r.Context(), s.argv[0], s.argv[1:]...)
	command.Dir = s.directory
	command.Env = append(s.env[:len(s.env):len(s.env)], s.variables(r)...)
	command.Stdin = r.Body
	command.Stderr = said
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second // its children may keep the pipes; and it may leave what was sent unread
	out := &answer{to: w}
	command.Stdout = out
	err := command.Run()
	if errors.Is(err, exec.ErrWaitDelay) || isUnreadBody(err, command) {
		err = nil
	}
	if out.failed != nil {
		err = out.failed
	}
	return out, err
}

// isUnreadBody: a script may end well without having read what it was sent.
func isUnreadBody(err error, command *exec.Cmd) bool {
	var exit *exec.ExitError
	return err != nil && !errors.As(err, &exit) && command.ProcessState != nil && command.ProcessState.Success()
}

// variables is the request as CGI has it, and what is tedious to take apart in a shell.
func (s *script) variables(r *http.Request) []string {
	env := []string{
		"GATEWAY_INTERFACE=CGI/1.1", "SERVER_SOFTWARE=muon", "SERVER_PROTOCOL=" + r.Proto,
		"REQUEST_METHOD=" + r.Method, "REQUEST_URI=" + r.RequestURI, "PATH_INFO=" + clean(r.URL.Path),
		"SCRIPT_NAME=", "QUERY_STRING=" + r.URL.RawQuery, "SERVER_NAME=" + r.Host, "MUON_REQUEST_ID=" + r.Header.Get("X-Request-Id"),
	}
	if r.ContentLength > 0 {
		env = append(env, "CONTENT_LENGTH="+strconv.FormatInt(r.ContentLength, 10))
	}
	// As command line tools that take part in traces have it.
	for _, name := range []string{"Traceparent", "Tracestate"} {
		if value := r.Header.Get(name); value != "" {
			env = append(env, strings.ToUpper(name)+"="+clean(value))
		}
	}
	for name, values := range r.Header {
		value := clean(strings.Join(values, ", "))
		upper := variable(name)
		switch {
		case name == "Content-Type":
			env = append(env, "CONTENT_TYPE="+value)
		case name == "Proxy":
			// HTTP_PROXY means something else to what the script may call.
		default:
			env = append(env, "HTTP_"+upper+"="+value)
		}
		if parameter, found := strings.CutPrefix(name, parameterPrefix); found {
			if decoded, err := url.PathUnescape(value); err == nil {
				env = append(env, "MUON_PARAM_"+variable(parameter)+"="+clean(decoded))
			}
		}
	}
	for name, values := range r.URL.Query() {
		env = append(env, "MUON_QUERY_"+variable(name)+"="+clean(values[0]))
	}
	return env
}

func variable(name string) string {
	return notInNames.ReplaceAllString(strings.ToUpper(name), "_")
}

// clean takes out what no variable can hold.
func clean(value string) string { return strings.ReplaceAll(value, "\x00", "") }

// answer is what a script writes to stdout. With a header of its own it is sent as it comes; without one it is the text
// of a 200, sent when the script has ended well.
type answer struct {
	to     http.ResponseWriter
	held   bytes.Buffer
	plain  bool
	began  bool
	failed error
}

func (a *answer) Write(piece []byte) (int, error) {
	if a.began {
		return a.pass(piece)
	}
	a.held.Write(piece)
	if a.plain {
		return len(piece), a.bound(maxWhole)
	}
	text := a.held.Bytes()
	if line := bytes.IndexByte(text, '\n'); line < 0 && len(text) < maxHead {
		return len(piece), nil
	}
	if !headBegins.Match(text) {
		a.plain = true
		return len(piece), a.bound(maxWhole)
	}
	for _, gap := range []string{"\n\n", "\r\n\r\n"} {
		if end := bytes.Index(text, []byte(gap)); end >= 0 {
			if a.failed = a.begin(text[:end], text[end+len(gap):]); a.failed != nil {
				return 0, a.failed
			}
			return len(piece), nil
		}
	}
	return len(piece), a.bound(maxHead)
}

func (a *answer) bound(limit int) error {
	if a.held.Len() > limit {
		a.failed = fmt.Errorf("it printed more than %d bytes without a header: begin with `Content-Type:` and an empty line to stream", limit)
	}
	return a.failed
}

// begin sends the header that the script wrote, and what it has of the body.
func (a *answer) begin(head, body []byte) error {
	parsed, err := textproto.NewReader(bufio.NewReader(io.MultiReader(bytes.NewReader(head), strings.NewReader("\n\n")))).ReadMIMEHeader()
	if err != nil {
		return fmt.Errorf("its header cannot be read: %w", err)
	}
	status := http.StatusOK
	if parsed.Get("Location") != "" {
		status = http.StatusFound
	}
	if words := parsed.Get("Status"); words != "" {
		number, _, _ := strings.Cut(words, " ")
		if status, err = strconv.Atoi(number); err != nil || status < 200 || status > 599 {
			return fmt.Errorf("its `Status: %s` is not a status that a function can reply with (200 to 599)", words)
		}
	}
	for _, name := range []string{"Status", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade"} {
		parsed.Del(name)
	}
	for name, values := range parsed {
		a.to.Header()[name] = values
	}
	a.began = true
	a.to.WriteHeader(status)
	_, err = a.pass(body)
	return err
}

func (a *answer) pass(piece []byte) (int, error) {
	count, err := a.to.Write(piece)
	if errors.Is(err, http.ErrBodyNotAllowed) {
		return len(piece), nil
	}
	if err == nil {
		err = http.NewResponseController(a.to).Flush()
	}
	return count, err
}

// finish sends what was held back, once the script has ended well.
func (a *answer) finish(w http.ResponseWriter) error {
	if a.began {
		return nil
	}
	if text := a.held.Bytes(); !a.plain && headBegins.Match(text) {
		// a header, and no body
		return a.begin(bytes.TrimRight(text, "\r\n"), nil)
	}
	if a.held.Len() == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(a.held.Len()))
	_, _ = w.Write(a.held.Bytes())
	return nil
}
