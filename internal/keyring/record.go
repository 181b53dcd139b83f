package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/pki"
)

// record is what this server last agreed on with the datastore.
type record struct {
	// Sealed is the hash of the datastore's text.
	Sealed string `json:"sealed"`
	Files  hashes `json:"files"`
}

func (c Config) recordFile() string { return filepath.Join(c.Dir, "shared.json") }

// recorded is nil before the first agreement.
func (c Config) recorded() (*record, error) {
	text, err := os.ReadFile(c.recordFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w: delete it and start again", c.recordFile(), err)
	}
	return &r, nil
}

// keep writes what was agreed on: the record last, so that a crash before it
// only means to agree once more.
func (c Config) keep(secret, sealed string, agreed contents) error {
	if err := writeTokenUnless(c.TokenFile, secret); err != nil {
		return err
	}
	if err := pki.WriteShared(c.Dir, agreed.files()); err != nil {
		return err
	}
	text, err := json.Marshal(record{Sealed: sealed, Files: agreed.hashes()})
	if err != nil {
		return err
	}
	return datadir.WriteFile(c.recordFile(), text)
}

func writeTokenUnless(file, secret string) error {
	if have, err := ReadToken(file); err == nil && same(have, secret) {
		return nil
	}
	return writeToken(file, secret)
}

// mine is what this server has.
func (c Config) mine() (contents, error) {
	files, err := pki.ReadShared(c.Dir)
	if err != nil {
		return nil, err
	}
	mine := contents(files)
	mine[clusterName], err = json.Marshal(c.Cluster)
	return mine, err
}

// files are the contents without what is none.
func (c contents) files() pki.Files {
	out := maps.Clone(c)
	delete(out, clusterName)
	return pki.Files(out)
}

// Settled says that this server has what it last agreed on with the datastore,
// and was given no other token: where nobody else writes there, that is all.
func (c Config) Settled() (bool, error) {
	r, err := c.recorded()
	if err != nil || r == nil {
		return false, err
	}
	mine, err := c.mine()
	if err != nil {
		return false, err
	}
	secret, err := ReadToken(c.TokenFile)
	if err != nil {
		return false, err
	}
	if waiting, err := ReadToken(next(c.TokenFile)); waiting != "" || err != nil {
		return false, err
	}
	return secret != "" && (c.Token.Secret == "" || same(secret, c.Token.Secret)) && c.Token.Authority == "" &&
		maps.Equal(mine.hashes(), r.Files), nil
}
