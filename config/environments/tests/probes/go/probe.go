// Package probe is the function that the environment's tests call.
package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
)

var together sync.WaitGroup

func init() { together.Add(8) }

var routes = map[string]http.HandlerFunc{
	"/hello":   func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") },
	"/request": request,
	"/made":    made,
	"/echo":    echo,
	"/meet":    meet,
	"/fail":    func(w http.ResponseWriter, r *http.Request) { deeper() },
	"/late": func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		deeper()
	},
	"/env":   environment,
	"/log":   func(w http.ResponseWriter, r *http.Request) { slog.WarnContext(r.Context(), "a line") },
	"/hold":  hold,
	"/never": func(w http.ResponseWriter, r *http.Request) { slog.Info("begun"); select {} },
}

// Handle is the entrypoint.
func Handle(w http.ResponseWriter, r *http.Request) { routes[r.URL.Path](w, r) }

func request(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_ = json.NewEncoder(w).Encode(map[string]string{
		"method": r.Method, "path": r.URL.Path, "id": r.PathValue("id"), "a": r.URL.Query().Get("a"), "b": r.URL.Query().Get("b"),
		"two": r.Header.Get("X-Two"), "body": string(body),
	})
}

func made(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Made", "yes")
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, "made")
}

func echo(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex()
	buffer := make([]byte, 4096)
	for {
		count, err := r.Body.Read(buffer)
		io.WriteString(w, strings.ToUpper(string(buffer[:count])))
		w.(http.Flusher).Flush()
		if err != nil {
			return
		}
	}
}

func meet(w http.ResponseWriter, r *http.Request) {
	together.Done()
	together.Wait()
	io.WriteString(w, "met")
}

func deeper() { panic(errors.New("lost")) }

func environment(w http.ResponseWriter, r *http.Request) {
	data, _ := os.ReadFile("data.txt")
	fmt.Fprintf(w, "%s|%s", os.Getenv("GREETING"), data)
}

func hold(w http.ResponseWriter, r *http.Request) {
	slog.Info("begun")
	text, _ := os.ReadFile(os.Getenv("GATE"))
	w.Write(text)
}
