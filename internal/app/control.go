package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/secure"
	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/base/group"
	"berth.dev/berth/internal/controller/all"
	"berth.dev/berth/internal/controller/certificate"
	"berth.dev/berth/internal/controller/host"
	"berth.dev/berth/internal/controller/provisioner"
	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/ipam"
	"berth.dev/berth/internal/keyring"
	"berth.dev/berth/internal/lead"
	"berth.dev/berth/internal/network/dns"
	"berth.dev/berth/internal/plan/balancer"
	"berth.dev/berth/internal/plan/schedule"
	"berth.dev/berth/internal/scheduler"
)

// controlPlane are the units of every server.
func (s *server) controlPlane() []group.Unit {
	return []group.Unit{
		{Name: "api server", Run: s.runAPI},
		{Name: "controllers", After: []string{"api server"}, Run: s.runControllers},
		{Name: "cluster", After: []string{"api server"}, Run: s.runCluster},
		{Name: "datastore", After: []string{"api server"}, Run: s.runDatastore},
		{Name: "keys", After: []string{"api server"}, Run: s.runKeys},
		{Name: "snapshots", After: []string{"api server"}, Run: s.runSnapshots},
	}
}

// runCluster tells nodes that join what the cluster is like. It is in no hurry.
func (s *server) runCluster(ctx context.Context, ready func()) error {
	ready()
	select {
	case <-ctx.Done():
		return nil
	case <-s.nodeReady:
	}
	client, err := s.client("system:berth:registration")
	if err != nil {
		return err
	}
	return ignoring(ctx, untilDone(ctx, s.log, func(ctx context.Context) error { return s.agreement().Publish(ctx, client) }))
}

// runAPI opens the datastore and serves the API. The datastore is closed after
// the last request.
func (s *server) runAPI(ctx context.Context, ready func()) (err error) {
	if s.store == nil {
		if s.store, err = s.openStore(ctx, nil); err != nil {
			return err
		}
	}
	store := s.store
	defer func() {
		if closeErr := store.Close(); err == nil {
			err = closeErr
		}
	}()
	c := apiserver.Config{
		Kinds: api.Kinds(), Datastore: store,
		BindAddress: s.cfg.BindAddress, Port: s.cfg.HTTPSPort, AdvertiseAddress: s.advertise(),
		ServiceCIDRs: s.services, Flags: s.cfg.shown(), Handlers: s.servers(store),
	}
	if s.enabled("dns") && !s.cfg.DisableAgent {
		c.Hooks = append(c.Hooks, apiserver.Hook{Name: "cluster-dns-service", Run: func(ctx context.Context, p apiserver.Parts) error {
			return dns.EnsureService(ctx, p.Client, s.dns)
		}})
	}
	if s.enabled("dns") {
		c.Hooks = append(c.Hooks, apiserver.Hook{Name: "cluster-dns-corefile", Run: func(ctx context.Context, p apiserver.Parts) error {
			return dns.EnsureCorefile(ctx, p.Client, s.cfg.ClusterDomain)
		}})
	}
	if s.enabled("local-storage") {
		c.Hooks = append(c.Hooks, apiserver.Hook{Name: "default-storage-class", Run: func(ctx context.Context, p apiserver.Parts) error {
			return provisioner.EnsureClass(ctx, p.Client)
		}}, apiserver.Hook{Name: "default-volume-snapshot-class", Run: func(ctx context.Context, p apiserver.Parts) error {
			client, err := dynamic.NewForConfig(p.Config)
			if err != nil {
				return err
			}
			return provisioner.EnsureSnapshotClass(ctx, client)
		}})
	}
	if err := s.cfg.API.apply(&c, s.dir.PKI()); err != nil {
		return err
	}
	err = secure.Apply(&c, secure.Options{
		PKI: s.pki, Authentication: &s.cfg.API.Authentication, ClusterDomain: s.cfg.ClusterDomain, RolesAfter: s.nodeReady, TaintNewNodes: true, Logger: s.log,
		ServerToken: func() (string, error) { return keyring.ReadToken(s.dir.ServerToken()) },
	})
	if err != nil {
		return err
	}
	if s.api, err = apiserver.New(c); err != nil {
		return err
	}
	return s.api.Run(ctx, ready)
}

// Scorings are the ways in which a scheduler profile can score nodes.
var Scorings = []string{"LeastAllocated", "MostAllocated"}

func schedulers(scorings map[string]string) scheduler.Profiles {
	profiles := scheduler.Profiles{}
	for name, scoring := range scorings {
		profiles[name] = schedule.Profile{MostAllocated: scoring == "MostAllocated"}
	}
	return profiles
}

// runControllers runs every control loop, the scheduler among them. Where
// servers share a datastore, or begin to, those of one of them.
func (s *server) runControllers(ctx context.Context, ready func()) error {
	err := s.store.WhileAlone(ctx, func(ctx context.Context) error { return s.runLoops(ctx, ready, s.as) })
	if err != nil || ctx.Err() != nil || s.store.Alone() {
		return err
	}
	client, err := s.client("system:kube-controller-manager")
	if err != nil {
		return err
	}
	instance, err := instanceOf(s.dir)
	if err != nil {
		return err
	}
	ready() // whoever leads
	return lead.Run(ctx, lead.Config{
		Leases: client.CoordinationV1().Leases(metav1.NamespaceSystem), Name: "berth-controllers",
		Instance: s.nodeName + "_" + instance, Run: rand.String(5), Times: lead.DefaultTimes, Log: s.log.With("component", "lead"),
	}, func(ctx context.Context, term *lead.Term) error {
		fence, err := s.store.BeginTerm(ctx, s.nodeName, term.Confirm)
		if err != nil {
			s.log.Warn("cannot lead", "error", err)
			return nil // the datastore will be back
		}
		enter := func(ctx context.Context) (context.Context, error) {
			return datastore.WithFence(ctx, fence), term.Check()
		}
		return s.runLoops(ctx, nil, func(user string, groups ...string) *rest.Config {
			return s.api.GuardedClientConfig(enter, user, groups...)
		})
	})
}

func (s *server) runLoops(ctx context.Context, ready func(), as func(user string, groups ...string) *rest.Config) error {
	signing, err := s.signing()
	if err != nil {
		return err
	}
	balancers, err := balancer.ParsePool(s.cfg.LoadBalancerPool)
	if err != nil {
		return err
	}
	loops, err := all.Loops(all.Config{
		LoadBalancers: balancers,
		RootCA:        s.pki.CA.CertPEM, Certificates: signing, IPAM: ipam.Config{ClusterCIDRs: s.cluster, Stateless: !s.cfg.StickyAddresses}, ServiceCIDRs: s.services, RESTConfig: as,
		NoLocalStorage: !s.enabled("local-storage"), Schedulers: schedulers(s.cfg.SchedulerProfiles), EndedPods: max(s.cfg.TerminatedPods, 0),
	})
	if err != nil {
		return err
	}
	return host.New(host.Config{RESTConfig: as, Logger: s.log.With("component", "controllers")}, loops...).Run(ctx, ready)
}

// instanceOf names the instance on dir, the same in every run.
func instanceOf(dir datadir.Dir) (string, error) {
	text, err := os.ReadFile(dir.Instance())
	if err == nil && len(text) > 0 {
		return string(text), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	name := rand.String(10)
	return name, datadir.WriteFile(dir.Instance(), []byte(name))
}

// signing says how certificates are signed that others ask for. What the API
// server serves as, no node may serve as.
func (s *server) signing() (certificate.Config, error) {
	pair, err := s.pki.APIServer.TLS()
	if err != nil {
		return certificate.Config{}, err
	}
	c := certificate.Config{Authority: s.pki.CA, Longest: s.cfg.ClusterSigningDuration}
	c.Taken.Names = pair.Leaf.DNSNames
	for _, ip := range pair.Leaf.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			c.Taken.Addresses = append(c.Taken.Addresses, a.Unmap())
		}
	}
	c.Taken.Ranges = slices.Concat(s.services, s.cluster)
	return c, nil
}

// client is a typed client for an identity.
func (s *server) client(user string, groups ...string) (kubernetes.Interface, error) {
	c, err := kubernetes.NewForConfig(s.as(user, groups...))
	if err != nil {
		return nil, fmt.Errorf("client for %s: %w", user, err)
	}
	return c, nil
}
