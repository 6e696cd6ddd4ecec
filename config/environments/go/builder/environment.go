package main

import (
	"io/fs"
	"os"
	"path/filepath"
)

// compiledBefore is where the image keeps what the compiler made of the standard library.
const compiledBefore = "/opt/muon/go-cache"

// prepareEnvironment gives the compiler places that it may write to. Where modules come from is the Environment's
// setting (GOPROXY and its like), which is left as it is.
func prepareEnvironment(work string) ([]string, error) {
	env := os.Environ()
	set := func(name, value string) {
		if os.Getenv(name) == "" {
			env = append(env, name+"="+value)
		}
	}
	set("CGO_ENABLED", "0")
	set("GOTOOLCHAIN", "local")
	set("GOFLAGS", "-buildvcs=false")
	set("GOPATH", filepath.Join(work, "gopath"))
	set("GOTELEMETRY", "off")
	set("HOME", work)
	// Modules are read-only by default, and could not be removed with the rest.
	if os.Getenv("GOMODCACHE") == "" {
		env = append(env, "GOMODCACHE="+filepath.Join(work, "modules"))
		env = append(env, "GOFLAGS=-modcacherw "+goFlags())
	}
	if os.Getenv("GOCACHE") != "" {
		return env, nil
	}
	cache := filepath.Join(work, "cache")
	if err := linkTree(compiledBefore, cache); err != nil {
		return nil, err
	}
	return append(env, "GOCACHE="+cache), nil
}

func goFlags() string {
	if flags := os.Getenv("GOFLAGS"); flags != "" {
		return flags
	}
	return "-buildvcs=false"
}

// linkTree makes a writable folder that holds what a read-only one does, without copying it.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) && path == from {
			return os.MkdirAll(to, 0o755)
		}
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, inside), 0o755)
		}
		return os.Symlink(path, filepath.Join(to, inside))
	})
}
