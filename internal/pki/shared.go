package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/utils/clock"

	"berth.dev/berth/internal/base/datadir"
)

// Files are what all servers of a cluster must have alike, by their names.
type Files map[string][]byte

// EncryptionFile may be missing in Files; the others may not.
const EncryptionFile = "encryption.yaml"

// SharedFiles are the names of Files in the order in which they are written: a
// key before its certificate.
var SharedFiles = []string{
	"ca.key", "ca.crt", "front-proxy-ca.key", "front-proxy-ca.crt", "peer-ca.key", "peer-ca.crt", "sa.key", "join.token", EncryptionFile,
}

// authorities are those among SharedFiles.
var authorities = []string{clusterAuthority.name, frontProxyAuthority.name, peerAuthority.name}

// ReadShared returns those that are in dir.
func ReadShared(dir string) (Files, error) {
	files := Files{}
	for _, name := range SharedFiles {
		data, err := readFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if data != nil {
			files[name] = data
		}
	}
	return files, nil
}

// WriteShared puts files into dir.
func WriteShared(dir string, files Files) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range SharedFiles {
		path := filepath.Join(dir, name)
		have, err := readFile(path)
		if err == nil && files[name] != nil && !bytes.Equal(have, files[name]) {
			err = datadir.WriteFile(path, files[name])
		}
		if err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// Complete returns f with what is missing made anew, in memory; with encrypt
// also a key to encrypt Secrets with. Half an authority is an error.
func (f Files) Complete(encrypt bool, c clock.PassiveClock) (Files, error) {
	out := Files{}
	for name, data := range f {
		out[name] = data
	}
	for _, name := range authorities {
		if out[name+".key"] == nil && out[name+".crt"] == nil {
			if err := out.addAuthority(name, c); err != nil {
				return nil, err
			}
		}
	}
	if out["sa.key"] == nil {
		key, err := newKey()
		if err == nil {
			out["sa.key"], err = encodeKey(key)
		}
		if err != nil {
			return nil, err
		}
	}
	if out["join.token"] == nil {
		token, err := newToken()
		if err != nil {
			return nil, err
		}
		out["join.token"] = []byte(token + "\n")
	}
	if out[EncryptionFile] == nil && encrypt {
		text, err := newEncryption()
		if err != nil {
			return nil, err
		}
		out[EncryptionFile] = text
	}
	return out, out.check()
}

func (f Files) addAuthority(name string, c clock.PassiveClock) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	if f[name+".key"], err = encodeKey(key); err != nil {
		return err
	}
	f[name+".crt"], err = selfSign(key, "berth-"+name, c.Now())
	return err
}

// Authority is the cluster's.
func (f Files) Authority() (*x509.Certificate, error) { return decodeCert(f["ca.crt"]) }

// check finds what no server could start with, before others are given it.
func (f Files) check() error {
	var all []error
	bad := func(name string, err error) { all = append(all, fmt.Errorf("%s %w", name, err)) }
	for _, name := range SharedFiles {
		if f[name] == nil && name != EncryptionFile {
			bad(name, errors.New("is missing"))
		}
	}
	if len(all) > 0 {
		return errors.Join(all...)
	}
	for _, name := range authorities {
		cert, err := decodeCert(f[name+".crt"])
		if err != nil {
			bad(name+".crt", err)
			continue
		}
		key, err := decodeKey(f[name+".key"])
		switch {
		case err != nil:
			bad(name+".key", err)
		case !key.PublicKey.Equal(cert.PublicKey):
			bad(name+".key", fmt.Errorf("does not belong to %s.crt", name))
		case !cert.IsCA:
			bad(name+".crt", errors.New("is not the certificate of an authority"))
		}
	}
	if _, err := decodeKey(f["sa.key"]); err != nil {
		bad("sa.key", err)
	}
	if !tokenForm.MatchString(strings.TrimSpace(string(f["join.token"]))) {
		bad("join.token", errors.New("holds no token of the form abcdef.0123456789abcdef"))
	}
	for name := range f {
		if !slices.Contains(SharedFiles, name) {
			bad(name, errors.New("is no file that servers share"))
		}
	}
	return errors.Join(all...)
}
