package app

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/base/group"
	"berth.dev/berth/internal/join"
	"berth.dev/berth/internal/node/register"
)

// AgentConfig is everything a machine that joins can be told.
type AgentConfig struct {
	Config
	// Token lets the machine join; it is not needed once it has.
	Token, TokenFile string
}

// joined is what a machine knows of the cluster that it is part of.
type joined struct {
	servers   *join.Servers
	authority *x509.CertPool
	identity  *join.Identity
	node      atomic.Pointer[register.Registration]
}

// object is the node's own, once it is registered.
func (j *joined) object() *corev1.Node {
	if r := j.node.Load(); r != nil {
		return r.Node()
	}
	return nil
}

// memoryOf is what an agent remembers between two runs, so that it can run its
// pods while no server answers.
type memoryOf struct {
	Node    string       `json:"node"`
	Servers []string     `json:"servers"`
	Cluster join.Cluster `json:"cluster"`
}

func memoryFile(dir datadir.Dir) string { return filepath.Join(dir.PKI(), "joined.json") }

// RunAgent joins a cluster and runs its pods on this machine until ctx is done.
func RunAgent(ctx context.Context, cfg AgentConfig, log *slog.Logger, ready func()) error {
	token, err := cfg.token()
	if err != nil {
		return err
	}
	s, release, err := prepare(ctx, cfg.Config, &joined{}, log)
	if err != nil {
		return err
	}
	defer release()
	joining, stop := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	defer renewing.Wait()
	defer stop()
	if err := s.join(joining, cfg, token, &renewing); err != nil {
		return ignoring(ctx, err)
	}
	units, err := s.agent()
	if err != nil {
		return err
	}
	units = append(units, group.Unit{Name: "api server", Run: s.runJoined}, memoryUnit)
	return group.Run(ctx, ready, units...)
}

// token is the join token, empty when none was given.
func (c AgentConfig) token() (join.Token, error) {
	text := c.Token
	if c.TokenFile != "" {
		if text != "" {
			return join.Token{}, errors.New("--token-file: give this or --token, not both")
		}
		data, err := os.ReadFile(c.TokenFile)
		if err != nil {
			return join.Token{}, fmt.Errorf("--token-file: %w", err)
		}
		text = string(data)
	}
	if text == "" {
		return join.Token{}, nil
	}
	t, err := join.ParseToken(text)
	if err != nil {
		return t, fmt.Errorf("--token: %w", err)
	}
	return t, nil
}

// join makes this machine a node of the cluster, or finds that it is.
func (s *server) join(ctx context.Context, cfg AgentConfig, token join.Token, renewing *sync.WaitGroup) error {
	if err := os.MkdirAll(s.dir.PKI(), 0o700); err != nil {
		return err
	}
	known, err := s.remembered()
	if err != nil {
		return err
	}
	var given []string
	for _, server := range cfg.Servers {
		a, err := join.Address(server)
		if err != nil {
			return fmt.Errorf("--server: %w", err)
		}
		given = append(given, a)
	}
	if len(given)+len(known.Servers) == 0 {
		return errors.New("--server: say where a server of the cluster is, https://ADDRESS:6443")
	}
	s.joined.servers = join.NewServers(given...)
	s.joined.servers.Know(known.Servers)
	ca, err := s.authority(ctx, cfg.Servers, token, known)
	if err != nil {
		return err
	}
	s.joined.authority = x509.NewCertPool()
	if !s.joined.authority.AppendCertsFromPEM(ca) {
		return fmt.Errorf("%s holds no certificate: delete it to join again", s.caFile())
	}
	s.joined.identity, err = join.NewIdentity(join.Options{
		NodeName: s.nodeName, Dir: s.dir.PKI(), Servers: s.joined.servers, CAFile: s.caFile(), Token: token.Secret, Node: s.joined.object,
	})
	if err != nil {
		return err
	}
	if err := s.firstCertificate(ctx, token, renewing); err != nil {
		return err
	}
	if known.Node == "" {
		client, err := s.client("")
		if err != nil {
			return err
		}
		err = untilDone(ctx, s.log, func(ctx context.Context) (err error) {
			known.Cluster, err = join.ReadCluster(ctx, client)
			return err
		})
		if err != nil {
			return err
		}
		known.Node, known.Servers = s.nodeName, s.joined.servers.Addresses()
		if err := s.remember(known); err != nil {
			return err
		}
	}
	s.cfg.ClusterCIDRs, s.cfg.ServiceCIDRs, s.cfg.ClusterDomain = known.Cluster.ClusterCIDRs, known.Cluster.ServiceCIDRs, known.Cluster.ClusterDomain
	return s.ranges()
}

func (s *server) caFile() string { return filepath.Join(s.dir.PKI(), "ca.crt") }

// remembered is what an earlier run has learned.
func (s *server) remembered() (memoryOf, error) {
	var m memoryOf
	text, err := os.ReadFile(memoryFile(s.dir))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(s.dir.PKI(), "ca.key")); err == nil {
			return m, fmt.Errorf("%s is the data directory of a server; choose another --data-dir", s.dir.Path())
		}
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return m, fmt.Errorf("%s: %w: delete it to join again", memoryFile(s.dir), err)
	}
	if m.Node != s.nodeName {
		return m, fmt.Errorf("--node-name: this data directory is node %s's; use that name, or another --data-dir", m.Node)
	}
	return m, nil
}

func (s *server) remember(m memoryOf) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return datadir.WriteFile(memoryFile(s.dir), text)
}

// authority is the cluster's, checked against the token when it is first seen. A
// token that is given later is not needed any more, but must not be another
// cluster's: whoever gave it wants to be there.
func (s *server) authority(ctx context.Context, servers []string, token join.Token, known memoryOf) ([]byte, error) {
	ca, err := os.ReadFile(s.caFile())
	switch foreign := err == nil && token.Secret != "" && !token.Names(ca); {
	case errors.Is(err, fs.ErrNotExist):
	case foreign && known.Node != "":
		return nil, fmt.Errorf("--token: it is another cluster's: %s belongs to the cluster of the servers %s; choose another --data-dir, or take the node out there, run `berth down --data-dir %s` and delete that directory",
			s.dir.Path(), strings.Join(known.Servers, ", "), s.dir.Path())
	case foreign: // an attempt that came to nothing
	default:
		return ca, err
	}
	if token.Secret == "" {
		return nil, errors.New("--token: this machine has not joined yet; make one on a server with `berth token create`")
	}
	if len(servers) == 0 {
		return nil, errors.New("--server: say where a server of the cluster is, https://ADDRESS:6443")
	}
	err = untilDone(ctx, s.log, func(ctx context.Context) (err error) {
		var all []error
		for _, server := range servers {
			if ca, err = join.FetchAuthority(ctx, server, token); err == nil {
				return datadir.WriteFile(s.caFile(), ca)
			}
			all = append(all, err)
		}
		return errors.Join(all...)
	})
	return ca, err
}

// firstCertificate waits for the node's certificate, which is renewed from then on.
func (s *server) firstCertificate(ctx context.Context, token join.Token, renewing *sync.WaitGroup) error {
	has := s.joined.identity.Has()
	select {
	case <-has:
	default:
		if token.Secret == "" {
			return errors.New("--token: this machine has no certificate; make one on a server with `berth token create`")
		}
		config := s.joined.servers.Config(s.caFile())
		config.BearerToken = token.Secret
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		// Asked first, because a refused token is no reason to keep trying.
		err = untilDone(ctx, s.log, func(ctx context.Context) error {
			_, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
			return err
		})
		if err != nil {
			// Nothing half done: the next token may be another cluster's.
			if errors.Is(err, errRefused) {
				_ = os.Remove(s.caFile())
			}
			return refused(err, token, time.Now())
		}
	}
	renewing.Go(func() { s.joined.identity.RunClient(ctx) })
	select {
	case <-has:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errRefused says that servers do not take a token or certificate.
var errRefused = errors.New("the servers refuse it; make another on a server with `berth token create`")

// refused says why, as far as a machine can know that has not joined.
func refused(err error, token join.Token, now time.Time) error {
	switch {
	case !errors.Is(err, errRefused):
		return err
	case !token.Expires.IsZero() && now.After(token.Expires):
		return fmt.Errorf("--token: it expired at %s; make another on a server with `berth token create`", token.Expires.Format(time.RFC3339))
	}
	return fmt.Errorf("--token: %w", err)
}

// untilDone tries until it works or it cannot: the first and every tenth failure is said.
func untilDone(ctx context.Context, log *slog.Logger, try func(context.Context) error) error {
	wait := 100 * time.Millisecond
	for n := 0; ; n++ {
		err := try(ctx)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, join.ErrForeign):
			return fmt.Errorf("--token: %w", err)
		case apierrors.IsUnauthorized(err):
			return errRefused
		}
		if n%10 == 1 {
			log.Warn("waiting for a server of the cluster", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// ignoring hides the end of ctx.
func ignoring(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// runJoined keeps the serving certificate, and the list of servers.
func (s *server) runJoined(ctx context.Context, ready func()) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.joined.identity.RunServing(ctx) })
	client, err := s.client("")
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(metav1.NamespaceDefault),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", "kubernetes").String()
		}))
	informer := factory.Discovery().V1().EndpointSlices().Informer()
	learn := func(o any) {
		if slice, ok := o.(*discoveryv1.EndpointSlice); ok {
			s.learn(slice)
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: learn, UpdateFunc: func(_, o any) { learn(o) }}); err != nil {
		return err
	}
	ready()
	informer.RunWithContext(ctx)
	return nil
}

// learn remembers where the servers are.
func (s *server) learn(slice *discoveryv1.EndpointSlice) {
	var addresses []string
	for _, port := range slice.Ports {
		for _, e := range slice.Endpoints {
			if port.Port == nil || len(e.Addresses) == 0 {
				continue
			}
			addresses = append(addresses, net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(*port.Port))))
		}
	}
	if !s.joined.servers.Know(addresses) {
		return
	}
	m, err := s.remembered()
	if err == nil {
		m.Servers = s.joined.servers.Addresses()
		err = s.remember(m)
	}
	if err != nil {
		s.log.Warn("the servers are not remembered", "error", err)
	}
}
