package documents

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Version stands for the server's version in the files below v3.
const Version = "@VERSION@"

const (
	folder = "v3"
	suffix = ".json.gz"
)

// files are the documents of the built-in group versions, v3/apis/apps/v1.json.gz
// for one. They are written by: go test ./internal/apiserver -run TestDocuments -update
//
//go:embed all:v3
var files embed.FS

// builtin are the documents of the built-in group versions for a server of that
// version, by path ("apis/apps/v1").
func builtin(version string) (map[string]*document, error) {
	docs := map[string]*document{}
	err := fs.WalkDir(files, folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		packed, err := files.ReadFile(file)
		if err != nil {
			return err
		}
		docs[strings.TrimSuffix(strings.TrimPrefix(file, folder+"/"), suffix)] = newDocument(tag(packed, []byte(version)), func() ([]byte, error) {
			text, err := unpack(packed)
			return bytes.Replace(text, []byte(`"`+Version+`"`), []byte(`"`+version+`"`), 1), err
		})
		return nil
	})
	return docs, err
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("documents: %w", err)
	}
	return io.ReadAll(r)
}

// Pack makes the content of the file of one document, and File names it below
// this package's folder.
func Pack(text []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// File is where the document of a path ("apis/apps/v1") is, relative to this package.
func File(of string) string { return path.Join(folder, of+suffix) }
