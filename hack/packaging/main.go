// Packaging writes what people install Muon with, all of it made from the kustomize bases in config/: one file for
// `kubectl apply -f`, and a Helm chart. hack/package builds and runs it.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// The names that images have in the bases.
const (
	basePrefix = "muon"
	baseTag    = "dev"
)

func main() {
	images := images{}
	root := flag.String("root", ".", "the top of the repository")
	out := flag.String("out", "", "folder to write to (default: config/ of the repository)")
	flag.StringVar(&images.prefix, "image-prefix", basePrefix, "where the nodes pull images from, e.g. registry.example.com/muon")
	flag.StringVar(&images.tag, "tag", baseTag, "the images' tag")
	flag.Parse()
	if *out == "" {
		*out = filepath.Join(*root, "config")
	}
	if err := write(*root, *out, images); err != nil {
		fmt.Fprintln(os.Stderr, "hack/package:", err)
		os.Exit(1)
	}
}

// Writes the one file and the chart, and removes what an earlier chart had and this one has not.
func write(root, out string, images images) error {
	made, err := packages(root, images)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(out, "chart")); err != nil {
		return err
	}
	for name, text := range made {
		path := filepath.Join(out, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// All files, by their paths below the folder that they are written to.
func packages(root string, images images) (map[string]string, error) {
	parts, err := rendered(root)
	if err != nil {
		return nil, err
	}
	made := map[string]string{}
	made["muon.yaml"], err = oneFile(parts.base, images)
	if err != nil {
		return nil, err
	}
	chart, err := chart(root, parts, images)
	if err != nil {
		return nil, err
	}
	for name, text := range chart {
		made[filepath.Join("chart", name)] = text
	}
	return made, nil
}
