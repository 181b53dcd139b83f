// Mkimage packs files into an image archive (docker archive format) without a
// container engine: what Berth's own images and the examples are built with.
//
//	mkimage -o demo.tar -name berth.dev/demo:1 -entrypoint /demo -add bin/demo:/demo
//	mkimage -o nginx.tar -name nginx:1 -cmd "nginx -g" -rootfs dir/
//
// The same input gives the same bytes.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// image is what the flags ask for.
type image struct {
	name, rootfs, user, workdir string
	add, entrypoint, cmd, env   list
	ports                       list
}

func main() {
	var im image
	out := flag.String("o", "", "archive to write")
	flag.StringVar(&im.name, "name", "", "image name with tag")
	flag.StringVar(&im.rootfs, "rootfs", "", "folder whose content becomes the image's root")
	flag.StringVar(&im.user, "user", "", "user the image runs as")
	flag.StringVar(&im.workdir, "workdir", "", "working directory")
	flag.Var(&im.add, "add", "FILE:PATH, a file to add with mode 0755 (repeatable)")
	flag.Var(&im.entrypoint, "entrypoint", "word of the entrypoint (repeatable)")
	flag.Var(&im.cmd, "cmd", "word of the command (repeatable)")
	flag.Var(&im.env, "env", "NAME=VALUE (repeatable)")
	flag.Var(&im.ports, "port", "exposed port, 80/tcp (repeatable)")
	flag.Parse()
	if *out == "" || im.name == "" {
		fmt.Fprintln(os.Stderr, "mkimage: -o and -name are required")
		os.Exit(2)
	}
	if err := im.write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func (im image) write(out string) (err error) {
	layer, err := os.CreateTemp(filepath.Dir(out), ".layer-*")
	if err != nil {
		return err
	}
	defer os.Remove(layer.Name())
	defer layer.Close()
	sum := sha256.New()
	if err := im.layer(io.MultiWriter(layer, sum)); err != nil {
		return err
	}
	diffID := hex.EncodeToString(sum.Sum(nil))
	config, err := json.Marshal(im.config("sha256:" + diffID))
	if err != nil {
		return err
	}
	configName := fmt.Sprintf("%x.json", sha256.Sum256(config))
	layerName := diffID + ".tar"
	manifest, err := json.Marshal([]map[string]any{{
		"Config": configName, "RepoTags": []string{im.name}, "Layers": []string{layerName},
	}})
	if err != nil {
		return err
	}
	next, err := os.Create(out + ".next")
	if err != nil {
		return err
	}
	defer next.Close()
	defer os.Remove(next.Name())
	w := tar.NewWriter(next)
	size, err := layer.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return err
	}
	err = errors.Join(
		file(w, "manifest.json", 0o644, int64(len(manifest)), bytes.NewReader(manifest)),
		file(w, configName, 0o644, int64(len(config)), bytes.NewReader(config)),
		file(w, layerName, 0o644, size, layer),
		w.Close(), next.Close(),
	)
	if err != nil {
		return err
	}
	return os.Rename(next.Name(), out)
}

// config is the OCI image configuration.
func (im image) config(diffID string) map[string]any {
	env := im.env
	if !slices.ContainsFunc(env, func(s string) bool { return strings.HasPrefix(s, "PATH=") }) {
		env = append(list{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, env...)
	}
	run := map[string]any{"Env": env}
	set := func(key string, words []string) {
		if len(words) > 0 {
			run[key] = words
		}
	}
	set("Entrypoint", im.entrypoint)
	set("Cmd", im.cmd)
	if im.user != "" {
		run["User"] = im.user
	}
	if im.workdir != "" {
		run["WorkingDir"] = im.workdir
	}
	if len(im.ports) > 0 {
		ports := map[string]any{}
		for _, p := range im.ports {
			ports[p] = struct{}{}
		}
		run["ExposedPorts"] = ports
	}
	return map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": run,
		"created": time.Unix(0, 0).UTC().Format(time.RFC3339),
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{diffID}},
	}
}

// layer writes the one layer: the root folder first, added files after it.
func (im image) layer(to io.Writer) error {
	w := tar.NewWriter(to)
	if im.rootfs != "" {
		if err := tree(w, im.rootfs); err != nil {
			return err
		}
	}
	for _, a := range im.add {
		from, path, ok := strings.Cut(a, ":")
		if !ok {
			return fmt.Errorf("-add %q: want FILE:PATH", a)
		}
		f, err := os.Open(from)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil {
			err = file(w, strings.TrimPrefix(path, "/"), 0o755, info.Size(), f)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return w.Close()
}

func file(w *tar.Writer, name string, mode, size int64, content io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size, ModTime: time.Unix(0, 0)}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(w, content)
	return err
}

// tree writes a folder in lexical order, with owners, links and hard modes.
func tree(w *tar.Writer, root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || name == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&(fs.ModeSocket|fs.ModeDevice|fs.ModeNamedPipe) != 0 {
			return nil
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(path); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		h.Name, h.ModTime, h.Uname, h.Gname = name, time.Unix(0, 0), "", ""
		if d.IsDir() {
			h.Name += "/"
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			h.Uid, h.Gid = int(st.Uid), int(st.Gid)
		}
		if err := w.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, f)
		return errors.Join(err, f.Close())
	})
}
