package app

import (
	"context"
	"errors"

	"k8s.io/component-base/version"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/network/cni"
	"berth.dev/berth/internal/network/hostport"
	"berth.dev/berth/internal/network/policy"
	"berth.dev/berth/internal/network/proxy"
	"berth.dev/berth/internal/preflight"
	"berth.dev/berth/internal/teardown"
)

// Version is what this build calls itself.
func Version() string { return version.Get().GitVersion }

// Down stops the instance on dir with all its pods and removes what it has in
// the kernel. The data directory stays.
func Down(ctx context.Context, dir datadir.Dir, bundleDir string, say func(format string, a ...any)) error {
	bundle, err := Config{BundleDir: bundleDir}.bundle()
	if err != nil {
		return err
	}
	return teardown.Instance{
		Dir: dir, Holder: Holder(dir), Log: say,
		Runtime: runtimeConfig(dir, bundle, preflight.Run(preflight.Config{DataDir: dir.Path()}).Facts),
		Network: func() error {
			return errors.Join(removeNetwork(dir), cni.Remove(ctx, dir, bundle), proxy.Remove(), policy.Remove(), hostport.Remove())
		},
	}.Down(ctx)
}
