package csi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// infoTimeout is how long a registration socket may take to answer.
const infoTimeout = 10 * time.Second

// register takes in the driver behind a registration socket. It tries again
// until that is done or the socket is gone.
func (r *Registry) register(ctx context.Context, path string, l *listing) {
	defer close(l.ended)
	for delay := 250 * time.Millisecond; ; delay = min(2*delay, 30*time.Second) {
		err := r.greet(ctx, path, l)
		if err == nil || ctx.Err() != nil || errors.Is(err, errNotOurs) {
			return
		}
		r.cfg.Log.Warn("storage driver not registered, trying again", "socket", path, "error", err)
		pause := r.cfg.Clock.NewTimer(delay)
		select {
		case <-pause.C():
		case <-ctx.Done():
		}
		pause.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// errNotOurs is a plugin of another kind, a device's for example.
var errNotOurs = errors.New("no storage driver")

// greet asks who registers, takes it in, and tells it what came of that.
func (r *Registry) greet(ctx context.Context, path string, l *listing) error {
	conn, err := dial(path)
	if err != nil {
		return err
	}
	defer conn.Close()
	client := registerapi.NewRegistrationClient(conn)
	asking, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	info, err := client.GetInfo(asking, &registerapi.InfoRequest{})
	if err != nil {
		return fmt.Errorf("ask who registers: %w", err)
	}
	if info.Type != registerapi.CSIPlugin {
		return errNotOurs
	}
	err = r.take(ctx, info, l)
	status := &registerapi.RegistrationStatus{PluginRegistered: err == nil}
	if err != nil {
		status.Error = fmt.Sprintf("RegisterPlugin error -- plugin registration failed with err: %v", err)
	}
	telling, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	if _, told := client.NotifyRegistrationStatus(telling, status); told != nil && err == nil {
		r.cfg.Log.Warn("cannot tell a storage driver that it is registered", "driver", info.Name, "error", told)
	}
	return err
}

// take asks the driver how it knows this node, and shows it in the API.
func (r *Registry) take(ctx context.Context, info *registerapi.PluginInfo, l *listing) error {
	if err := knownVersion(info.SupportedVersions); err != nil {
		return err
	}
	endpoint := r.real(info.Endpoint)
	if endpoint == "" {
		return fmt.Errorf("driver %s does not say where its socket is", info.Name)
	}
	conn, err := dial(endpoint)
	if err != nil {
		return err
	}
	d := &Driver{Name: info.Name, conn: conn, node: csi.NewNodeClient(conn), shown: r.shown, timeout: r.cfg.Timeout}
	about, err := call(ctx, d, "NodeGetInfo", d.node.NodeGetInfo, &csi.NodeGetInfoRequest{})
	if err != nil {
		_ = conn.Close()
		return err
	}
	if d.NodeID = about.GetNodeId(); d.NodeID == "" {
		_ = conn.Close()
		return fmt.Errorf("driver %s gives this node no ID", info.Name)
	}
	if err := r.announce(ctx, d.Name, about); err != nil {
		_ = conn.Close()
		return err
	}
	r.mu.Lock()
	if old := r.drivers[d.Name]; old != nil {
		_ = old.conn.Close()
	}
	r.drivers[d.Name] = d
	l.driver = d.Name
	r.mu.Unlock()
	r.cfg.Log.Info("storage driver registered", "driver", d.Name, "node-id", d.NodeID)
	if r.cfg.Changed != nil {
		r.cfg.Changed(d.Name)
	}
	return nil
}

// knownVersion wants one of the versions to be 1.x.
func knownVersion(versions []string) error {
	for _, v := range versions {
		major, _, _ := strings.Cut(strings.TrimPrefix(v, "v"), ".")
		if n, err := strconv.Atoi(major); err == nil && n == 1 {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", errNoVersion, strings.Join(versions, ", "))
}

// shown is how drivers know a path of ours, real the other way round.
func (r *Registry) shown(path string) string { return swapRoot(path, r.cfg.Root, r.cfg.Shown) }

func (r *Registry) real(path string) string { return swapRoot(path, r.cfg.Shown, r.cfg.Root) }

func swapRoot(path, from, to string) string {
	if rest, ok := strings.CutPrefix(path, from+"/"); ok {
		return filepath.Join(to, rest)
	}
	return path
}

func inode(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}
