package s3_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/snapshot/s3"
	"berth.dev/berth/internal/snapshot/s3/s3test"
)

// Each mistake is one sentence that says what to do, and shows no secret.
func TestErrorsSayWhatToDo(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, c := range map[string]struct {
		with func(*s3.Config)
		deny func(http.ResponseWriter, *http.Request) bool
		says string
	}{
		"no bucket":      {with: func(c *s3.Config) { c.Bucket = "backup" }, says: `has no bucket "backup"; make it`},
		"denied":         {deny: s3test.Deny(403, "AccessDenied", "Access Denied"), says: "denies access to bucket"},
		"unknown key":    {deny: s3test.Deny(403, "InvalidAccessKeyId", "no"), says: "does not know this access key"},
		"wrong secret":   {deny: s3test.Deny(403, "SignatureDoesNotMatch", "no"), says: "the secret is another"},
		"session over":   {deny: s3test.Deny(400, "ExpiredToken", "no"), says: "session token has ended"},
		"clock":          {deny: s3test.Deny(403, "RequestTimeTooSkewed", "no"), says: "clock"},
		"region":         {deny: s3test.Deny(400, "AuthorizationHeaderMalformed", "expecting 'eu-west-1'"), says: "correct --snapshot-s3-region"},
		"full":           {deny: s3test.Deny(507, "XMinioStorageFull", "no room"), says: "has no room"},
		"something else": {deny: s3test.Deny(400, "Strange", "how odd."), says: "answers Strange: how odd"},
		"unknown CA":     {with: func(c *s3.Config) { c.CAFile = "" }, says: "of an authority that is not known here; give that one's certificate with --snapshot-s3-endpoint-ca"},
		"no CA":          {with: func(c *s3.Config) { c.CAFile = "/nowhere/ca.crt" }, says: "--snapshot-s3-endpoint-ca: open /nowhere/ca.crt"},
		"no TLS there":   {with: func(c *s3.Config) { c.Endpoint = strings.Replace(plain.URL, "http:", "https:", 1) }, says: "does not speak TLS"},
		"TLS there":      {with: func(c *s3.Config) { c.Endpoint = strings.Replace(c.Endpoint, "https:", "http:", 1) }, says: "wants TLS; write --snapshot-s3-endpoint with https://"},
		"nobody":         {with: func(c *s3.Config) { c.Endpoint = closed.URL }, says: "nothing answers at"},
		"wrong name":     {with: func(c *s3.Config) { c.Endpoint = strings.Replace(c.Endpoint, "127.0.0.1", "localhost", 1) }, says: "is for another name"},
		"never answers":  {with: func(c *s3.Config) { c.Timeout = 50 * time.Millisecond }, deny: func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, says: "within 50ms"},
		"no credentials": {with: func(c *s3.Config) { c.CredentialsFile = "" }, says: "no credentials for the bucket; give them with --snapshot-s3-credentials-file"},
		"no such file":   {with: func(c *s3.Config) { c.CredentialsFile = "/nowhere" }, says: "stat /nowhere"},
		"open to others": {with: func(c *s3.Config) { c.CredentialsFile = write(t, "[default]\n", 0o640) }, says: "others can read"},
		"no keys in it":  {with: func(c *s3.Config) { c.CredentialsFile = write(t, "[other]\naws_access_key_id = a\n", 0o600) }, says: "it needs the lines [default]"},
		"nonsense in it": {with: func(c *s3.Config) { c.CredentialsFile = write(t, s3test.Secret+"\n", 0o600) }, says: "it needs the lines [default]"},
		"another's store": {with: func(c *s3.Config) {
			c.CredentialsFile = write(t, "[default]\naws_access_key_id=B\naws_secret_access_key="+s3test.Secret, 0o600)
		}, says: "does not know this access key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			b := newBench(t)
			b.Fault(c.deny)
			if c.with != nil {
				c.with(&b.config)
			}
			bucket, err := s3.Open(t.Context(), b.config)
			if err == nil {
				_, err = bucket.List(t.Context(), "")
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), s3test.Secret) {
				t.Errorf("%v; want %q", err, c.says)
			}
		})
	}
	b := newBench(t)
	if _, err := b.open(t).About(t.Context(), "prod/none"); !errors.Is(err, s3.ErrNotFound) || !strings.Contains(err.Error(), "s3://backups/prod/none is not there") {
		t.Error(err)
	}
}

// Credentials of the environment do, and any certificate if somebody wants that.
func TestEnvironment(t *testing.T) {
	b := newBench(t)
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.Secret)
	b.config.CredentialsFile, b.config.CAFile, b.config.SkipVerify = "", "", true
	if _, err := b.open(t).List(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

func TestURL(t *testing.T) {
	c := s3.Defaults()
	c.Bucket = "other"
	got, key, err := c.At("s3://backups/prod/a.db")
	if err != nil || got.Bucket != "backups" || key != "prod/a.db" || got.URL(key) != "s3://backups/prod/a.db" {
		t.Error(got.Bucket, key, err)
	}
	for _, bad := range []string{"s3://backups", "s3://backups/", "s3:///a.db", "s3://backups/../a.db", "s3://backups/a/", "backups/a.db"} {
		if _, _, err := c.At(bad); err == nil || !strings.Contains(err.Error(), "s3://BUCKET/FOLDER/NAME.db") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
