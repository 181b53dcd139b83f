package datastore

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"google.golang.org/grpc"
)

const (
	// connectWithin bounds how long a wrong endpoint can keep the server waiting.
	connectWithin    = 4 * time.Second
	keepaliveTime    = 30 * time.Second
	keepaliveTimeout = 10 * time.Second
)

func connect(ctx context.Context, c Config) (*Store, error) {
	where := strings.Join(c.Endpoints, ",")
	tlsConfig, err := clientTLS(c)
	if err != nil {
		return nil, fmt.Errorf("datastore: TLS files for etcd at %s: %w", where, err)
	}
	client, err := kubernetes.New(clientv3.Config{
		Endpoints:            c.Endpoints,
		TLS:                  tlsConfig,
		DialTimeout:          connectWithin,
		DialKeepAliveTime:    keepaliveTime,
		DialKeepAliveTimeout: keepaliveTimeout,
		DialOptions:          []grpc.DialOption{grpc.WithDisableServiceConfig()},
		Logger:               quietLogger(),
	})
	if err != nil {
		return nil, fmt.Errorf("datastore: etcd at %s: %w", where, err)
	}
	if err := firstAnswer(ctx, client, where); err != nil {
		_ = client.Close()
		return nil, err
	}
	return &Store{
		Client: guard(client),
		ready:  func(context.Context) error { return nil },
		size: func(ctx context.Context) (int64, error) {
			status, err := client.Status(ctx, client.Endpoints()[0])
			if err != nil {
				return 0, err
			}
			return status.DbSize, nil
		},
		close: client.Close,
	}, nil
}

// firstAnswer finds out now, with one clear error, what would otherwise be
// retried in silence.
func firstAnswer(ctx context.Context, client *kubernetes.Client, where string) error {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	var err error
	for _, endpoint := range client.Endpoints() {
		if _, err = client.Status(ctx, endpoint); err == nil {
			return nil
		}
	}
	return fmt.Errorf("datastore: etcd at %s does not answer: %w; check --datastore-endpoint and its TLS flags", where, err)
}

func clientTLS(c Config) (*tls.Config, error) {
	secure := c.CAFile != "" || c.CertFile != ""
	for _, endpoint := range c.Endpoints {
		secure = secure || strings.HasPrefix(endpoint, "https://")
	}
	if !secure {
		return nil, nil
	}
	info := transport.TLSInfo{TrustedCAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}
	return info.ClientConfig()
}
