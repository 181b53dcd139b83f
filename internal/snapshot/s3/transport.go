package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/minio/minio-go/v7"
)

// farewell is how long a request may take that is begun when all is to end: the
// library tells the store to forget what it has of a broken upload, and would
// wait a minute for the answer.
const farewell = time.Second

// transport is the way to the store, for as long as ctx lasts.
func (c Config) transport(ctx context.Context, secure bool) (http.RoundTripper, error) {
	t, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, err
	}
	t.DisableKeepAlives = true // one use in hours, which leaves nothing open
	if secure {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.SkipVerify} //nolint:gosec // the flag says what that means
		if c.CAFile != "" {
			text, err := os.ReadFile(c.CAFile)
			if err != nil {
				return nil, fmt.Errorf("--snapshot-s3-endpoint-ca: %w", err)
			}
			t.TLSClientConfig.RootCAs = x509.NewCertPool()
			if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
				return nil, fmt.Errorf("--snapshot-s3-endpoint-ca: %s holds no certificate in PEM", c.CAFile)
			}
		}
	}
	return ending{t, ctx}, nil
}

type ending struct {
	http.RoundTripper
	ctx context.Context
}

func (e ending) RoundTrip(r *http.Request) (*http.Response, error) {
	if e.ctx.Err() == nil {
		return e.RoundTripper.RoundTrip(r)
	}
	ctx, cancel := context.WithCancel(r.Context())
	time.AfterFunc(farewell, cancel)
	return e.RoundTripper.RoundTrip(r.WithContext(ctx))
}
