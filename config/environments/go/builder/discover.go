package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// source is what was found in a module: which packages export what.
type source struct {
	module  string
	ownMain bool // the top is a program of its own, which serves on the socket it is given
	names   map[string][]name
}

// name is an exported name of a package; a variable is handed over by its address.
type name struct {
	text     string
	variable bool
}

func discover(module string) (*source, error) {
	text, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return nil, err
	}
	line := regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`).FindSubmatch(text)
	if line == nil {
		return nil, complaint("go.mod has no module line")
	}
	found := &source{module: string(line[1]), names: map[string][]name{}}
	err = filepath.WalkDir(module, func(folder string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		inside, err := filepath.Rel(module, folder)
		if err != nil {
			return err
		}
		if inside != "." && isApart(folder, entry.Name()) {
			return filepath.SkipDir
		}
		return found.add(folder, filepath.ToSlash(inside))
	})
	if err == nil && !found.ownMain && len(found.names) == 0 {
		err = complaint("the source exports nothing: a function is `func Handle(w http.ResponseWriter, r *http.Request)`")
	}
	return found, err
}

// isApart tells which folders are no packages of the module.
func isApart(folder, base string) bool {
	if base == "vendor" || base == "testdata" || strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".") {
		return true
	}
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

func (s *source) add(folder, inside string) error {
	listed, err := build.Default.ImportDir(folder, build.IgnoreVendor)
	var none *build.NoGoError
	if errors.As(err, &none) {
		return nil
	}
	if err != nil && len(listed.GoFiles) == 0 {
		return syntaxComplaint(err, folder, inside)
	}
	if listed.Name == "main" {
		s.ownMain = s.ownMain || inside == "."
		return nil // no other package can import it
	}
	for _, file := range listed.GoFiles {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, file), nil, parser.SkipObjectResolution)
		if err != nil {
			return syntaxComplaint(err, folder, inside)
		}
		if names := exportedNames(parsed); len(names) > 0 {
			s.names[inside] = append(s.names[inside], names...)
		}
	}
	return nil
}

// syntaxComplaint has the place of each error, as the compiler would say it.
func syntaxComplaint(err error, folder, inside string) error {
	here := strings.TrimPrefix(inside+"/", "./")
	var list scanner.ErrorList
	if !errors.As(err, &list) {
		return complaint(strings.ReplaceAll(err.Error(), folder+string(filepath.Separator), here))
	}
	var lines []string
	for _, one := range list {
		if len(lines) < 10 {
			lines = append(lines, fmt.Sprintf("%s%s:%d:%d: %s", here, filepath.Base(one.Pos.Filename), one.Pos.Line, one.Pos.Column, one.Msg))
		}
	}
	return complaint(strings.Join(lines, "\n"))
}

// exportedNames are the functions that may be handlers, or make one, and all variables.
func exportedNames(file *ast.File) []name {
	var names []name
	for _, declaration := range file.Decls {
		switch declared := declaration.(type) {
		case *ast.FuncDecl:
			if declared.Recv == nil && declared.Name.IsExported() && declared.Type.TypeParams == nil {
				names = append(names, name{text: declared.Name.Name})
			}
		case *ast.GenDecl:
			if declared.Tok != token.VAR {
				continue
			}
			for _, spec := range declared.Specs {
				for _, variable := range spec.(*ast.ValueSpec).Names {
					if variable.IsExported() {
						names = append(names, name{text: variable.Name, variable: true})
					}
				}
			}
		}
	}
	return names
}

// table is the Go source that maps entrypoints to what they mean: `Handle` of the top, `api.Handle` of a folder.
func (s *source) table() string {
	var folders []string
	for folder := range s.names {
		folders = append(folders, folder)
	}
	sort.Strings(folders)
	var imports, entries strings.Builder
	for at, folder := range folders {
		fmt.Fprintf(&imports, "\tp%d %q\n", at, path.Join(s.module, folder))
		for _, name := range s.names[folder] {
			key, address := name.text, ""
			if folder != "." {
				key = folder + "." + name.text
			}
			if name.variable {
				address = "&"
			}
			fmt.Fprintf(&entries, "\t%q: %sp%d.%s,\n", key, address, at, name.text)
		}
	}
	return fmt.Sprintf("package main\n\nimport (\n%s)\n\nvar exported = map[string]interface{}{\n%s}\n", &imports, &entries)
}
