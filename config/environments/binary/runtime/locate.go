package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"muon.dev/contract"
)

// defaults are the files that are meant when no entrypoint is named.
var defaults = []string{"main", "main.sh"}

// executable is what an order means: the words that start it, where, with which variables, and how it is spoken to.
type executable struct {
	path      string
	name      string
	argv      []string
	directory string
	env       []string
	// serves says that it is a server of HTTP; else it is run for each request.
	serves bool
}

// locate finds the executable. A script (it begins with #!) is run for each request, anything else serves HTTP; `cgi:`
// or `http:` before the name says otherwise.
func locate(wanted contract.Order) (executable, error) {
	mode, name := "", wanted.Entrypoint
	for _, known := range []string{"cgi", "http"} {
		if rest, found := strings.CutPrefix(name, known+":"); found {
			mode, name = known, rest
		}
	}
	path, directory, err := find(wanted.Filepath, name)
	if err != nil {
		return executable{}, err
	}
	head, mayRun, err := look(path)
	if err != nil {
		return executable{}, contract.Fail(http.StatusInternalServerError, "ImportFailed", err.Error())
	}
	found := executable{path: path, name: filepath.Base(path), directory: directory, env: environment(wanted)}
	interpreter := shebang(head)
	found.serves = mode == "http" || mode == "" && interpreter == nil
	switch {
	case mayRun:
		found.argv = []string{path}
	case interpreter != nil:
		// Files of a manifest have no mode: what begins with #! is meant to be run all the same.
		found.argv = append(interpreter, path)
	default:
		if found.argv, err = copied(path); err != nil {
			return executable{}, contract.Fail(http.StatusInternalServerError, "ImportFailed", err.Error())
		}
	}
	return found, nil
}

func find(root, name string) (path, directory string, err error) {
	known, err := os.Stat(root)
	if err != nil {
		return "", "", contract.Fail(http.StatusInternalServerError, "PackageNotFound", "there is nothing at "+root)
	}
	if !known.IsDir() {
		return root, filepath.Dir(root), nil
	}
	if name != "" && !filepath.IsLocal(name) {
		return "", "", contract.Fail(http.StatusInternalServerError, "EntrypointInvalid", fmt.Sprintf("%q is not the path of a file in the package", name))
	}
	names := defaults
	if name != "" {
		names = []string{name}
	}
	for _, each := range names {
		path := filepath.Join(root, each)
		if found, err := os.Stat(path); err == nil && found.Mode().IsRegular() {
			return path, root, nil
		}
	}
	return "", "", contract.Fail(
		http.StatusInternalServerError, "EntrypointNotFound",
		fmt.Sprintf("the package has no file %s; it has: %s", strings.Join(names, " and no "), strings.Join(content(root), ", ")),
	)
}

func content(root string) []string {
	entries, _ := os.ReadDir(root)
	names := []string{}
	for _, entry := range entries[:min(20, len(entries))] {
		names = append(names, entry.Name())
	}
	sort.Strings(names)
	return names
}

// look reads the beginning of a file, and whether it may be run as it is.
func look(path string) (head []byte, mayRun bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	known, err := file.Stat()
	if err != nil {
		return nil, false, err
	}
	head, err = io.ReadAll(io.LimitReader(file, 256))
	return head, known.Mode()&0o111 != 0, err
}

// shebang is the interpreter that a script names, with its argument if it has one.
func shebang(head []byte) []string {
	line, found := bytes.CutPrefix(head, []byte("#!"))
	if !found {
		return nil
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	words := strings.SplitN(strings.TrimSpace(string(line)), " ", 2)
	if words[0] == "" {
		return nil
	}
	if len(words) == 2 {
		words[1] = strings.TrimSpace(words[1])
	}
	return words
}

// copied gives a program that has no mode a place where it can have one.
func copied(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	place, err := os.CreateTemp("", "program-")
	if err != nil {
		return nil, fmt.Errorf("the file may not be run, and cannot be copied to where it may: %w", err)
	}
	defer place.Close()
	if _, err := io.Copy(place, file); err != nil {
		return nil, err
	}
	return []string{place.Name()}, place.Chmod(0o700)
}

func environment(wanted contract.Order) []string {
	env := []string{}
	for _, each := range os.Environ() {
		name, _, _ := strings.Cut(each, "=")
		if _, replaced := wanted.Env[name]; !replaced {
			env = append(env, each)
		}
	}
	for name, value := range wanted.Env {
		env = append(env, name+"="+value)
	}
	return env
}

// checkSyntax asks a shell whether it understands the script: better now than at each request.
func checkSyntax(found executable) error {
	head, _, err := look(found.path)
	words := shebang(head)
	if err != nil || words == nil {
		return err
	}
	words = strings.Fields(strings.Join(words, " "))
	shell := filepath.Base(words[len(words)-1])
	for _, word := range words {
		if base := filepath.Base(word); base == "sh" || base == "bash" || base == "dash" {
			shell = base
		}
	}
	if shell != "sh" && shell != "bash" && shell != "dash" {
		return nil
	}
	said, err := exec.Command(shell, "-n", found.path).CombinedOutput()
	if err != nil {
		words := strings.TrimSpace(strings.ReplaceAll(string(said), found.path, found.name))
		return contract.Fail(http.StatusInternalServerError, "ImportFailed", words)
	}
	return nil
}
