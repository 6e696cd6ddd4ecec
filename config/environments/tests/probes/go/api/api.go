// Package api has one handler of each kind.
package api

import (
	"errors"
	"io"
	"net/http"
)

// Mux is a variable.
var Mux = http.NewServeMux()

func init() {
	Mux.HandleFunc("GET /users/{user}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.PathValue("user")) })
}

// New makes a handler.
func New() http.Handler { return Mux }

// Try may fail at the load.
func Try() (http.Handler, error) { return nil, errors.New("no database") }

// Explode panics at the load.
func Explode() http.Handler { panic("no settings") }

// Refuse returns an error.
func Refuse(w http.ResponseWriter, r *http.Request) error { return errors.New("refused") }

// Add is no handler.
func Add(a, b int) int { return a + b }

// Limit is no handler either.
var Limit = 7

// Map is generic, and cannot be one.
func Map[T any](value T) T { return value }
