package app

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/image"
	"berth.dev/berth/internal/network/cni"
	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/node/register"
	"berth.dev/berth/internal/node/runtime"
	"berth.dev/berth/internal/preflight"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// runtimeTimeout is how long a runtime may take to say who it is.
const runtimeTimeout = 10 * time.Second

func (a *agent) runRuntime(ctx context.Context, ready func()) error {
	// The network configuration is there first, so that containerd need not load it later.
	if err := cni.WriteConfig(a.dir); err != nil {
		return err
	}
	return runtime.New(runtimeConfig(a.dir, a.bundle, a.facts), a.log).Run(ctx, ready)
}

// runtimeConfig is how an instance's containerd is set up on this machine.
func runtimeConfig(dir datadir.Dir, bundle string, facts preflight.Facts) runtime.Config {
	return runtime.Config{Dir: dir, BundleDir: bundle, RestrictOOMScore: !facts.OOMAdjust}
}

// criEndpoint is the runtime's socket: the bundle's containerd or the user's own.
func (a *agent) criEndpoint() string {
	if a.cfg.ContainerRuntimeEndpoint != "" {
		return a.cfg.ContainerRuntimeEndpoint
	}
	return "unix://" + a.dir.CRISocket()
}

// pauseSeccomp is the profile of sandboxes; a runtime of the user's has its own.
func (a *agent) pauseSeccomp() string {
	if a.cfg.ContainerRuntimeEndpoint != "" {
		return ""
	}
	return runtimeConfig(a.dir, a.bundle, a.facts).PauseSeccomp()
}

// runImages imports the images that the bundle brings.
func (a *agent) runImages(ctx context.Context, ready func()) error {
	if a.cfg.ContainerRuntimeEndpoint == "" {
		if err := a.importImages(ctx); err != nil {
			return err
		}
	}
	if err := a.askRuntime(ctx); err != nil {
		return err
	}
	a.runtimeUp.Store(true)
	ready()
	<-ctx.Done()
	return nil
}

// askRuntime learns the runtime's name and version.
func (a *agent) askRuntime(ctx context.Context) error {
	client, err := cri.Dial(a.criEndpoint())
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, runtimeTimeout)
	defer cancel()
	v, err := client.AwaitVersion(ctx)
	if err != nil {
		return fmt.Errorf("the container runtime at %s does not answer: %w; check --container-runtime-endpoint", a.criEndpoint(), err)
	}
	about := &register.Runtime{Version: v.RuntimeName + "://" + strings.TrimPrefix(v.RuntimeVersion, "v")}
	if st, err := client.Status(ctx, &runtimeapi.StatusRequest{}); err == nil {
		about.Handlers = cri.Handlers(st)
		about.Features = cri.Features(st)
	}
	a.about.Store(about)
	return nil
}

func (a *agent) importImages(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(a.bundle, "images", "*.tar"))
	if err != nil {
		return err
	}
	store, err := image.Open(a.dir.RuntimeSocket())
	if err != nil {
		return err
	}
	defer store.Close()
	return store.Ensure(ctx, files...)
}
