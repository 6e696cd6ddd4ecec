// Package contract is what the runtimes that are Go programs have in common: the order of a load and who may give it, the
// shape of errors, records, and settings.
package contract

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

const orderLimit = 1 << 20

// Order is what a load request asks for.
type Order struct {
	Filepath   string            `json:"filepath"`
	Entrypoint string            `json:"functionName"`
	Env        map[string]string `json:"env"`
}

// IsSame tells whether two orders ask for the same load: to be given one again is fine.
func (o Order) IsSame(other Order) bool {
	return o.Filepath == other.Filepath && o.Entrypoint == other.Entrypoint
}

// AlreadyLoaded is the answer to another order after this one.
func (o Order) AlreadyLoaded() *Failure {
	message := strings.TrimSpace("this pod is already loaded, with " + o.Filepath + " " + o.Entrypoint)
	return Fail(http.StatusBadRequest, "AlreadyLoaded", message)
}

// IsHealth tells whether a request asks for health, which is answered whatever is loaded.
func IsHealth(r *http.Request) bool {
	return r.URL.Path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// SendHealth answers it.
func SendHealth(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, "ok\n")
}

// IsLoad tells whether a request is an order, in either form of the contract.
func IsLoad(r *http.Request) bool {
	return r.Method == http.MethodPost && (r.URL.Path == "/v2/specialize" || r.URL.Path == "/specialize")
}

// ReadOrder is the order of such a request. It is taken from this machine alone; the first form has no words, and means
// the code at v1File.
func ReadOrder(r *http.Request, v1File string) (Order, error) {
	if !isLoopback(r.RemoteAddr) {
		return Order{}, Fail(http.StatusForbidden, "NotLoopback", "a load is taken from this pod only")
	}
	if r.URL.Path == "/specialize" {
		return Order{Filepath: v1File}, nil
	}
	return parseOrder(r.Body)
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

func parseOrder(body io.Reader) (Order, error) {
	var wanted Order
	invalid := func(message string) (Order, error) {
		return Order{}, Fail(http.StatusBadRequest, "OrderInvalid", message)
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
