package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// serveEtcd runs a member of one with etcd's own settings.
func serveEtcd(ctx context.Context, dir, address string, in io.Reader) error {
	client := url.URL{Scheme: "http", Host: address}
	peer := url.URL{Scheme: "unix", Host: "peer"} // an abstract socket of this network
	c := embed.NewConfig()
	c.Dir = dir
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = nil, []url.URL{peer}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.QuotaBackendBytes = 8 << 30
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(zapcore.NewCore(
		zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig()), zapcore.Lock(os.Stderr), zapcore.ErrorLevel)))
	e, err := embed.StartEtcd(c)
	if err != nil {
		return fmt.Errorf("etcd on %s: %w", address, err)
	}
	defer e.Close()
	untilClosed(ctx, in)
	return nil
}
