package join

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/certificate"
	"k8s.io/client-go/util/connrotation"
)

const (
	clientPair  = "node-client"
	servingPair = "node-serving"
)

// Identity is what a joined machine proves itself with, renewed while it runs.
type Identity struct {
	config          *rest.Config // with the client certificate's file, read again for each connection
	dialer          *connrotation.Dialer
	client, serving certificate.Manager
	has             chan struct{} // closed when there is a client certificate
	transport       func() (http.RoundTripper, error)
	leave           func() bool // another server is to be tried
}

// Options say whose identity it is.
type Options struct {
	NodeName string
	// Dir keeps the certificates.
	Dir     string
	Servers *Servers
	CAFile  string
	// Token is a bootstrap token for the first certificate; "" when there is none.
	Token string
	// Node is the node's object as the API server has it, nil before.
	Node func() *corev1.Node
}

// NewIdentity reads what is there. Run asks for what is missing.
func NewIdentity(o Options) (*Identity, error) {
	i := &Identity{config: o.Servers.Config(o.CAFile), has: make(chan struct{})}
	current := filepath.Join(o.Dir, clientPair+"-current.pem")
	i.config.CertFile, i.config.KeyFile = current, current
	i.leave = o.Servers.Leave
	i.dialer = connrotation.NewDialer(o.Servers.Dial)
	i.config.Dial = i.dialer.DialContext
	// All clients share connections. There is no transport without a certificate.
	i.transport = sync.OnceValues(func() (http.RoundTripper, error) { return rest.TransportFor(i.config) })
	subject := pkix.Name{CommonName: "system:node:" + o.NodeName, Organization: []string{"system:nodes"}}
	store, err := i.store(o.Dir, clientPair)
	if err != nil {
		return nil, err
	}
	i.client, err = certificate.NewManager(&certificate.Config{
		Name: clientPair, SignerName: certificatesv1.KubeAPIServerClientKubeletSignerName, CertificateStore: store,
		GetUsages: certificate.DefaultKubeletClientGetUsages,
		Template:  &x509.CertificateRequest{Subject: subject},
		ClientsetFn: func(now *tls.Certificate) (kubernetes.Interface, error) {
			switch {
			case now != nil && (o.Token == "" || time.Now().Before(now.Leaf.NotAfter)):
				return kubernetes.NewForConfig(i.Config())
			case o.Token == "":
				return nil, errors.New("there is no certificate and no token to ask for one")
			}
			config := o.Servers.Config(o.CAFile)
			config.BearerToken = o.Token
			return kubernetes.NewForConfig(config)
		},
	})
	if err != nil {
		return nil, err
	}
	if i.client.Current() != nil {
		i.got()
	}
	if store, err = i.store(o.Dir, servingPair); err != nil {
		return nil, err
	}
	i.serving, err = certificate.NewManager(&certificate.Config{
		Name: servingPair, SignerName: certificatesv1.KubeletServingSignerName, CertificateStore: store,
		GetUsages: certificate.DefaultKubeletServingGetUsages,
		GetTemplate: func() *x509.CertificateRequest {
			return servingRequest(subject, o.NodeName, o.Node())
		},
		ClientsetFn: func(*tls.Certificate) (kubernetes.Interface, error) { return kubernetes.NewForConfig(i.Config()) },
	})
	return i, err
}

// servingRequest names the node as its object does; nil before there is one.
func servingRequest(subject pkix.Name, name string, node *corev1.Node) *x509.CertificateRequest {
	if node == nil {
		return nil
	}
	r := &x509.CertificateRequest{Subject: subject, DNSNames: []string{name}}
	for _, a := range node.Status.Addresses {
		if ip := net.ParseIP(a.Address); ip != nil && a.Type == corev1.NodeInternalIP {
			if four := ip.To4(); four != nil {
				ip = four
			}
			r.IPAddresses = append(r.IPAddresses, ip)
		}
	}
	if len(r.IPAddresses) == 0 {
		return nil
	}
	return r
}

// Config is a client with the node's identity; use it once Has is closed.
func (i *Identity) Config() *rest.Config {
	return &rest.Config{
		Host: i.config.Host, QPS: -1, Transport: late{i},
		// As between the parts of a server: protobuf where a kind has it.
		ContentConfig: rest.ContentConfig{
			AcceptContentTypes: runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON, ContentType: runtime.ContentTypeProtobuf,
		},
	}
}

// late is a transport that is made when it is first used. It turns away from a
// server that has lost the others.
type late struct{ of *Identity }

// RoundTrip implements http.RoundTripper.
func (l late) RoundTrip(r *http.Request) (*http.Response, error) {
	t, err := l.of.transport()
	if err != nil {
		return nil, err
	}
	answer, err := t.RoundTrip(r)
	if err == nil && answer.Header.Get(NoQuorumHeader) != "" && l.of.leave() {
		l.of.dialer.CloseAll()
	}
	return answer, err
}

// Has is closed when there is a client certificate.
func (i *Identity) Has() <-chan struct{} { return i.has }

// Serving is the certificate to serve with, for tls.Config.GetCertificate.
func (i *Identity) Serving(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := i.serving.Current(); c != nil {
		return c, nil
	}
	return nil, errors.New("this node has no serving certificate yet")
}

// RunClient asks for the client certificate and renews it until ctx ends.
func (i *Identity) RunClient(ctx context.Context) { run(ctx, i.client) }

// RunServing does the same for the serving certificate.
func (i *Identity) RunServing(ctx context.Context) { run(ctx, i.serving) }

func run(ctx context.Context, m certificate.Manager) {
	m.Start()
	<-ctx.Done()
	m.Stop()
}

// got notes that there is a certificate. Connections made with an older one
// end: the server looks at a certificate's end with each request.
func (i *Identity) got() {
	select {
	case <-i.has:
		i.dialer.CloseAll()
	default:
		close(i.has)
	}
}

// store keeps a pair in files, and tells when there is one.
func (i *Identity) store(dir, pair string) (certificate.Store, error) {
	files, err := certificate.NewFileStore(pair, dir, dir, "", "")
	if err != nil || pair != clientPair {
		return files, err
	}
	return &telling{Store: files, tell: i.got}, nil
}

type telling struct {
	certificate.Store
	tell func()
}

// Update implements certificate.Store.
func (t *telling) Update(cert, key []byte) (*tls.Certificate, error) {
	c, err := t.Store.Update(cert, key)
	if err == nil {
		t.tell()
	}
	return c, err
}
