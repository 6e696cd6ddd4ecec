// Command build makes the program of a Go function: it reads $SRC_PKG and leaves a directory at $DEPLOY_PKG, with the
// static executable `program` and the files of the source that are not Go.
package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// What every function's program has beside the function.
//
//go:embed program/*.go
var program embed.FS

const (
	// programFolder is added to the user's module while it is built.
	programFolder = "muon_program"
	// moduleOfNone is the module of a source that has no go.mod.
	moduleOfNone = "function"
)

// complaint is an error of the source: its author reads it as it is.
type complaint string

func (c complaint) Error() string { return string(c) }

func main() {
	source, target := os.Getenv("SRC_PKG"), os.Getenv("DEPLOY_PKG")
	if source == "" || target == "" {
		fmt.Fprintln(os.Stderr, "SRC_PKG and DEPLOY_PKG must name the source directory and the place for the result")
		os.Exit(2)
	}
	work, err := os.MkdirTemp("", "go-build-")
	if err == nil {
		err = makeProgram(source, work, target)
		_ = os.RemoveAll(work)
	}
	var told complaint
	if errors.As(err, &told) {
		fmt.Fprintln(os.Stderr, told)
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
	}
	if err != nil {
		os.Exit(1)
	}
}

func makeProgram(source, work, target string) error {
	module := filepath.Join(work, "source")
	if err := copyTree(source, module, func(string) bool { return true }); err != nil {
		return err
	}
	env, err := prepareEnvironment(work)
	if err != nil {
		return err
	}
	if err := requireModule(module); err != nil {
		return err
	}
	found, err := discover(module)
	if err != nil {
		return err
	}
	what := "."
	if !found.ownMain {
		if err := addProgram(module, found); err != nil {
			return err
		}
		what = "./" + programFolder
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	executable, err := filepath.Abs(filepath.Join(target, "program"))
	if err != nil {
		return err
	}
	if err := compile(module, what, executable, env); err != nil {
		return err
	}
	return copyTree(source, target, isData)
}

// compile runs the compiler; what it says has the file and the line of each error.
func compile(module, what, executable string, env []string) error {
	command := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", executable, what)
	command.Dir, command.Env = module, env
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return complaint("go build failed: see the lines above")
	}
	return nil
}

func requireModule(module string) error {
	file := filepath.Join(module, "go.mod")
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	return os.WriteFile(file, []byte("module "+moduleOfNone+"\n\ngo 1.23\n"), 0o644)
}

// addProgram writes the server and the table of what the function exports into the module.
func addProgram(module string, found *source) error {
	folder := filepath.Join(module, programFolder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	files, err := program.ReadDir("program")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := program.ReadFile("program/" + file.Name())
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, file.Name()), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, "functions.go"), []byte(found.table()), 0o644)
}

// isData tells which files of the source the function may want to read when it runs.
func isData(path string) bool {
	name := filepath.Base(path)
	return !strings.HasSuffix(name, ".go") && name != "go.mod" && name != "go.sum" && name != "program" &&
		path != "vendor" && name != "testdata"
}

// copyTree copies plain files and the directories that have some; what begins with a dot stays behind, and so does a link.
func copyTree(from, to string, wanted func(path string) bool) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if inside == "." {
			return os.MkdirAll(to, 0o755)
		}
		if strings.HasPrefix(entry.Name(), ".") || !wanted(inside) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		target := filepath.Join(to, inside)
		text, err := os.ReadFile(path)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(target), 0o755)
		}
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o644)
	})
}
