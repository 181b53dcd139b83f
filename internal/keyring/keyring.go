// Package keyring keeps what all servers of a cluster must have alike in the
// datastore: authorities, keys, the join token and the cluster's ranges, sealed
// with the server token. A new server needs only that token, and servers that
// start at the same time agree on one set.
package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/join"
	"berth.dev/berth/internal/seal"
)

// clusterName names what is no file among contents.
const clusterName = "cluster.json"

// Config says whose keys they are.
type Config struct {
	KV clientv3.KV
	// Prefix is the root of the cluster's objects in the datastore.
	Prefix string
	// Dir holds the files, TokenFile the token.
	Dir, TokenFile string
	// Token is what the user has given; the secret is empty when nothing.
	Token Token
	// Cluster is what this server's flags say.
	Cluster join.Cluster
	// Encrypt wants a key to encrypt Secrets with.
	Encrypt bool
	// Clock and Cost are real when not set.
	Clock clock.PassiveClock
	Cost  seal.Cost
}

// errLost says that another server has written meanwhile.
var errLost = errors.New("another server has written")

// Sync makes this server's files and the datastore's the same. What it cannot
// make the same it leaves alone, on both sides, and says so.
func (c Config) Sync(ctx context.Context) error {
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.Cost == (seal.Cost{}) {
		c.Cost = seal.Default
	}
	for {
		if err := c.once(ctx); !errors.Is(err, errLost) {
			return err
		}
	}
}

// Sealed is what the datastore holds, nil when that is nothing yet.
func (c Config) Sealed(ctx context.Context) ([]byte, error) {
	got, err := c.KV.Get(ctx, c.key())
	if err != nil || len(got.Kvs) == 0 {
		return nil, err
	}
	return got.Kvs[0].Value, nil
}

// Adopt takes keys over that another server of the cluster has handed out as they
// are in the datastore, before this server reaches that. A later Sync does the rest.
func (c Config) Adopt(ctx context.Context, sealed []byte) error {
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	mine, err := c.mine()
	if err != nil {
		return err
	}
	return c.adopt(ctx, mine, sealed, 0)
}

func (c Config) key() string { return path.Join("/berth", c.Prefix, "keys") }

func (c Config) once(ctx context.Context) error {
	mine, err := c.mine()
	if err != nil {
		return err
	}
	got, err := c.KV.Get(ctx, c.key())
	if err != nil {
		return fmt.Errorf("read the cluster's keys in the datastore: %w", err)
	}
	if len(got.Kvs) == 0 {
		return c.first(ctx, mine)
	}
	if err := c.rotate(ctx, got.Kvs[0].Value, got.Kvs[0].ModRevision); err != nil {
		return err
	}
	return c.adopt(ctx, mine, got.Kvs[0].Value, got.Kvs[0].ModRevision)
}

// rotate seals the keys with the token that waits for this, if one does. Having
// done so it ends with errLost, because the datastore holds something else now.
func (c Config) rotate(ctx context.Context, stored []byte, revision int64) error {
	fresh, err := ReadToken(next(c.TokenFile))
	if err != nil || fresh == "" {
		return err
	}
	if _, err := seal.Open(fresh, stored); err == nil { // a crash came between
		if err := rotated(c.TokenFile, fresh); err != nil {
			return err
		}
		return errLost
	}
	old, err := ReadToken(c.TokenFile)
	if err != nil {
		return err
	}
	text, err := seal.Open(old, stored)
	if errors.Is(err, seal.ErrToken) && c.Token.Secret != "" {
		text, err = seal.Open(c.Token.Secret, stored)
	}
	if err != nil {
		return fmt.Errorf("the server token cannot be changed: %w; give the cluster's with --token-file, or remove %s", err, next(c.TokenFile))
	}
	var whole contents
	if err := json.Unmarshal(text, &whole); err != nil {
		return fmt.Errorf("the cluster's keys in the datastore: %w", err)
	}
	if _, err := c.write(ctx, fresh, whole, revision); err != nil {
		return err
	}
	if err := rotated(c.TokenFile, fresh); err != nil {
		return err
	}
	return errLost
}

// first puts this server's keys where none are.
func (c Config) first(ctx context.Context, mine contents) error {
	whole, err := c.complete(mine)
	if err != nil {
		return fmt.Errorf("%s: %w; restore it from a backup", c.Dir, err)
	}
	had, err := ReadToken(c.TokenFile)
	if err != nil {
		return err
	}
	secret := c.Token.Secret
	if secret == "" {
		// Kept before anything is sealed with it. It goes again when another
		// server was faster, whose keys it does not open.
		if secret, err = EnsureToken(c.TokenFile, ""); err != nil {
			return err
		}
	}
	if err := c.names(whole); err != nil {
		return err
	}
	sealed, err := c.write(ctx, secret, whole, 0)
	if errors.Is(err, errLost) && c.Token.Secret == "" && had == "" {
		if gone := os.Remove(c.TokenFile); gone != nil {
			return gone
		}
	}
	if err != nil {
		return err
	}
	return c.keep(secret, sealed, whole)
}

// adopt joins this server's keys with those in the datastore.
func (c Config) adopt(ctx context.Context, mine contents, stored []byte, revision int64) error {
	agreed, err := c.recorded()
	if err != nil {
		return err
	}
	secret, source, err := c.secret()
	if err != nil {
		return err
	}
	kept, _ := ReadToken(c.TokenFile)
	if agreed != nil && agreed.Sealed == hashOf(stored) && maps.Equal(agreed.Files, mine.hashes()) && same(kept, secret) {
		return c.names(mine)
	}
	text, err := seal.Open(secret, stored)
	if errors.Is(err, seal.ErrToken) {
		return fmt.Errorf("%s: this is not the token of the cluster in the datastore; take the one that `berth token --server` prints on a server of it", source)
	}
	var theirs contents
	if err == nil {
		err = json.Unmarshal(text, &theirs)
	}
	if err != nil {
		return fmt.Errorf("the cluster's keys in the datastore: %w", err)
	}
	base := hashes{}
	if agreed != nil {
		base = agreed.Files
	}
	merged, foreign := merge(base, mine, theirs)
	if err := c.explain(foreign, mine, theirs, merged, agreed != nil); err != nil {
		return err
	}
	whole, err := c.complete(merged)
	if err != nil {
		return fmt.Errorf("%s: %w; delete it and start again: it comes back from the datastore", c.Dir, err)
	}
	if err := c.names(whole); err != nil {
		return err
	}
	if c.KV == nil {
		return c.keep(secret, hashOf(stored), theirs)
	}
	sealed := hashOf(stored)
	if !maps.Equal(whole.hashes(), theirs.hashes()) {
		if sealed, err = c.write(ctx, secret, whole, revision); err != nil {
			return err
		}
	}
	return c.keep(secret, sealed, whole)
}

// secret is the given token, or the one that was kept, and what to call it.
func (c Config) secret() (secret, source string, err error) {
	if c.Token.Secret != "" {
		return c.Token.Secret, "--token", nil
	}
	secret, err = ReadToken(c.TokenFile)
	if err == nil && secret == "" {
		err = errors.New("--token: the datastore holds the keys of a cluster; give its token, which `berth token --server` prints on a server of it, with --token-file")
	}
	return secret, c.TokenFile, err
}

// names checks that the cluster is the one that the token names.
func (c Config) names(whole contents) error {
	if c.Token.Authority == "" {
		return nil
	}
	ca, err := whole.files().Authority()
	if err != nil {
		return err
	}
	if join.Hash(ca) != c.Token.Authority {
		return errors.New("--token: it names the authority of another cluster; take the one that `berth token --server` prints on a server of this cluster")
	}
	return nil
}

// explain is nil when everything could be joined.
func (c Config) explain(foreign []string, mine, theirs, merged contents, before bool) error {
	files := slices.DeleteFunc(foreign, func(name string) bool { return name == clusterName })
	switch {
	case len(files) > 0 && before:
		return fmt.Errorf("%s was changed here and by another server; delete it here to take the other server's", filepath.Join(c.Dir, files[0]))
	case len(files) > 0:
		return fmt.Errorf("%s is of another cluster than the one in the datastore; use that cluster's --server or --datastore-endpoint, or choose another --data-dir", filepath.Join(c.Dir, files[0]))
	case hashOf(merged[clusterName]) == hashOf(mine[clusterName]):
		return nil
	}
	var have join.Cluster
	if err := json.Unmarshal(theirs[clusterName], &have); err != nil {
		return fmt.Errorf("the cluster's keys in the datastore: %s: %w", clusterName, err)
	}
	return fmt.Errorf("--cluster-cidr, --service-cidr, --cluster-domain: this cluster has %s, %s and %s; give every server of it the same",
		strings.Join(have.ClusterCIDRs, ","), strings.Join(have.ServiceCIDRs, ","), have.ClusterDomain)
}

func (c Config) complete(have contents) (contents, error) {
	files, err := have.files().Complete(c.Encrypt, c.Clock)
	if err != nil {
		return nil, err
	}
	whole := contents(files)
	whole[clusterName] = have[clusterName]
	return whole, nil
}

// write seals whole and puts it into the datastore unless another has written
// since revision. It returns the hash of what lies there.
func (c Config) write(ctx context.Context, secret string, whole contents, revision int64) (string, error) {
	text, err := json.Marshal(whole)
	if err != nil {
		return "", err
	}
	sealed, err := c.Cost.Seal(secret, text)
	if err != nil {
		return "", err
	}
	done, err := c.KV.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(c.key()), "=", revision)).
		Then(clientv3.OpPut(c.key(), string(sealed))).Commit()
	if err != nil {
		return "", fmt.Errorf("write the cluster's keys to the datastore: %w", err)
	}
	if !done.Succeeded {
		return "", errLost
	}
	return hashOf(sealed), nil
}
