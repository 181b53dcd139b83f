package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"berth.dev/berth/internal/base/datadir"
)

const configFile = "10-berth.conflist"

// Network is the name of the instance's network; runtimes cache results under it.
func Network(dir datadir.Dir) string { return "berth-" + dir.ID() }

// WriteConfig puts the network configuration where the runtime looks for it.
// Version 1.0.0, because from 1.1.0 on runtimes run the plugin whenever they
// are asked for their status.
func WriteConfig(dir datadir.Dir) error {
	text, err := json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0",
		"name":       Network(dir),
		"plugins":    []any{map[string]any{"type": "berth-cni", "socket": dir.CNISocket()}},
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir.CNIConf(), 0o700); err != nil {
		return fmt.Errorf("network configuration: %w", err)
	}
	path := filepath.Join(dir.CNIConf(), configFile)
	if is, err := os.ReadFile(path); err == nil && string(is) == string(text)+"\n" {
		return nil // the runtime watches the folder
	}
	if err := datadir.WriteFile(path, append(text, '\n')); err != nil {
		return fmt.Errorf("network configuration: %w", err)
	}
	return nil
}

// cacheDirs are where libcni keeps results, whatever it is told.
var cacheDirs = []string{"/var/lib/cni/results", "/var/lib/cni/cache/results"}

// Remove takes away what the runtime cached for this instance's network, and what
// plugins of the bundle made for pods that are gone. The wires and routes are
// package link's.
func Remove(ctx context.Context, dir datadir.Dir, bundle string) error {
	r := recordsOf(dir, bundle)
	all, err := r.list()
	problems := []error{err}
	for _, a := range all {
		problems = append(problems, r.undo(ctx, a, ""))
	}
	for _, d := range cacheDirs {
		files, err := filepath.Glob(filepath.Join(d, Network(dir)+"-*"))
		problems = append(problems, err)
		for _, f := range files {
			problems = append(problems, os.Remove(f))
		}
		// These go when they are empty, which does another runtime no harm.
		_ = os.Remove(d)
		_ = os.Remove(filepath.Dir(d))
	}
	return errors.Join(problems...)
}
