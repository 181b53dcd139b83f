// Package s3 keeps copies of snapshots in a bucket of an S3-compatible store.
// It knows objects, their checksums and what can be wrong with a store, and
// nothing of when copies are made.
package s3

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Config says which bucket. Its flags are k3s's --etcd-s3-*, but that nothing
// secret can be said on a command line.
type Config struct {
	Bucket   string // "" for none
	Endpoint string // URL, or HOST[:PORT] for https
	Folder   string // in the bucket; "" is its top
	Region   string
	// Lookup is how the bucket is named in a request: auto, dns (in the host) or path.
	Lookup     string
	CAFile     string // PEM; "" means the system's authorities
	SkipVerify bool
	// CredentialsFile is one as the AWS tools have it; "" means the environment.
	CredentialsFile string
	// Timeout is for each file, and for each question.
	Timeout time.Duration
	// Retention is how many scheduled copies are kept; 0 keeps all.
	Retention int
}

var lookups = []string{"auto", "dns", "path"}

// Defaults is Amazon's store, and no bucket.
func Defaults() Config {
	return Config{Endpoint: "https://s3.amazonaws.com", Region: "us-east-1", Lookup: lookups[0], Timeout: 5 * time.Minute, Retention: 5}
}

// BindFlags adds the flags that say where the bucket is.
func (c *Config) BindFlags(f *pflag.FlagSet) {
	f.StringVar(&c.Bucket, "snapshot-s3-bucket", c.Bucket, "bucket of an S3-compatible store that snapshots are copied to (default: none)")
	f.StringVar(&c.Endpoint, "snapshot-s3-endpoint", c.Endpoint, "URL of the store; http:// for one without TLS")
	f.StringVar(&c.Folder, "snapshot-s3-folder", c.Folder, "folder in the bucket")
	f.StringVar(&c.Region, "snapshot-s3-region", c.Region, "region of the bucket")
	f.StringVar(&c.Lookup, "snapshot-s3-bucket-lookup-type", c.Lookup, "where requests have the bucket's name: dns (in the host name), path, or auto")
	f.StringVar(&c.CAFile, "snapshot-s3-endpoint-ca", c.CAFile, "file with the authority of the store's certificate (default: the system's)")
	f.BoolVar(&c.SkipVerify, "snapshot-s3-skip-ssl-verify", c.SkipVerify, "believe any certificate: whoever stands between can read Secrets")
	f.StringVar(&c.CredentialsFile, "snapshot-s3-credentials-file", c.CredentialsFile, "file that only its owner reads, with aws_access_key_id and aws_secret_access_key (default: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment)")
	f.DurationVar(&c.Timeout, "snapshot-s3-timeout", c.Timeout, "how long copying one snapshot may take")
}

// BindRetention adds the flag that only matters to who removes copies.
func (c *Config) BindRetention(f *pflag.FlagSet) {
	f.IntVar(&c.Retention, "snapshot-s3-retention", c.Retention, "scheduled snapshots of this server that are kept in the bucket; 0 removes none")
}

// Check tells bad all that is wrong, by flag.
func (c Config) Check(bad func(flag, format string, a ...any)) {
	if c.Bucket == "" {
		if c.Folder != "" || c.CAFile != "" || c.CredentialsFile != "" {
			bad("snapshot-s3-bucket", "the other --snapshot-s3 flags need the name of a bucket")
		}
		return
	}
	if strings.ContainsAny(c.Bucket, "/: ") {
		bad("snapshot-s3-bucket", "%q is no name of a bucket; a folder in it goes to --snapshot-s3-folder, the store to --snapshot-s3-endpoint", c.Bucket)
	}
	if _, err := c.endpoint(); err != nil {
		bad("snapshot-s3-endpoint", "%v", err)
	}
	if f := c.folder(); f != "" && (!clean(f) || strings.Contains(f, "//")) {
		bad("snapshot-s3-folder", "%q is no folder; write it as backups/prod", c.Folder)
	}
	if !slices.Contains(lookups, c.Lookup) {
		bad("snapshot-s3-bucket-lookup-type", "%q is not known; use %s", c.Lookup, strings.Join(lookups, ", "))
	}
	if c.SkipVerify && c.CAFile != "" {
		bad("snapshot-s3-skip-ssl-verify", "not together with --snapshot-s3-endpoint-ca, which says whom to believe")
	}
	if c.Timeout <= 0 {
		bad("snapshot-s3-timeout", "%s is no time; use 5m", c.Timeout)
	}
	if c.Retention < 0 {
		bad("snapshot-s3-retention", "%d: keep 1 or more, or 0 for all of them", c.Retention)
	}
}

func clean(name string) bool {
	return !strings.HasPrefix(path.Clean(name), "..") && path.Clean(name) == name
}

func (c Config) folder() string { return strings.Trim(c.Folder, "/") }

// endpoint is the store's URL, with nothing but scheme and host.
func (c Config) endpoint() (*url.URL, error) {
	text := c.Endpoint
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil: // which may show what was meant to be a password
		return nil, fmt.Errorf("this is no URL; use https://HOST[:PORT]")
	case u.User != nil:
		return nil, fmt.Errorf("a URL with a password in it is shown to others; give credentials with --snapshot-s3-credentials-file")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return nil, fmt.Errorf("%q is no store; use https://HOST[:PORT], the bucket goes to --snapshot-s3-bucket", c.Endpoint)
	}
	u.Path = ""
	return u, nil
}

// Under is the key of what lies in the folder.
func (c Config) Under(parts ...string) string {
	return path.Join(append([]string{c.folder()}, parts...)...)
}

// URL is how an object is written for people, and for berth snapshot restore.
func (c Config) URL(key string) string { return scheme + c.Bucket + "/" + key }

const scheme = "s3://"

// IsURL says whether a name is of an object and not of a file.
func IsURL(name string) bool { return strings.HasPrefix(name, scheme) }

// At is the configuration for the bucket of an object's URL, and its key.
func (c Config) At(name string) (Config, string, error) {
	bucket, key, ok := strings.Cut(strings.TrimPrefix(name, scheme), "/")
	if !IsURL(name) || !ok || bucket == "" || !clean(key) || key == "." {
		return c, "", fmt.Errorf("%q is no snapshot in a bucket; it is written s3://BUCKET/FOLDER/NAME.db, as berth snapshot ls shows it", name)
	}
	c.Bucket = bucket
	return c, key, nil
}
