package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"berth.dev/berth/internal/seal"
)

// Restored prepares this server for a datastore that comes from a copy: the given
// token, or the one that was kept, must open the keys in it. What was agreed on
// with the former one counts no more, so that the next Sync looks at both sides.
// Nothing has changed when the token is a wrong one.
func (c Config) Restored(ctx context.Context) error {
	secret, source := c.Token.Secret, "--token-file"
	if secret == "" {
		source = c.TokenFile
		var err error
		if secret, err = ReadToken(c.TokenFile); err != nil {
			return err
		}
		if secret == "" {
			return errors.New("--token-file: the keys in it are sealed; give the token that `berth token --server` printed on a server of the cluster")
		}
	}
	stored, err := c.Sealed(ctx)
	if err != nil {
		return err
	}
	if stored == nil {
		return errors.New("the cluster's keys are not in it")
	}
	text, err := seal.Open(secret, stored)
	if errors.Is(err, seal.ErrToken) {
		return fmt.Errorf("%s: this token does not open the cluster's keys; take the one that `berth token --server` printed when the copy was made", source)
	}
	var theirs contents
	if err == nil {
		err = json.Unmarshal(text, &theirs)
	}
	if err != nil {
		return fmt.Errorf("the cluster's keys: %w", err)
	}
	if err := c.names(theirs); err != nil {
		return err
	}
	if err := writeTokenUnless(c.TokenFile, secret); err != nil {
		return err
	}
	for _, name := range []string{next(c.TokenFile), c.recordFile()} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
