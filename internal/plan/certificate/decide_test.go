package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

var (
	now       = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	authority = Authority{Longest: 365 * 24 * time.Hour, NotAfter: now.AddDate(10, 0, 0)}
	key       = func() crypto.Signer {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return k
	}()
)

const (
	client  = certificatesv1.KubeAPIServerClientSignerName
	kubelet = certificatesv1.KubeAPIServerClientKubeletSignerName
	serving = certificatesv1.KubeletServingSignerName
)

func usages(u ...certificatesv1.KeyUsage) []certificatesv1.KeyUsage { return u }

var (
	clientUse = usages("digital signature", "client auth")
	serverUse = usages("digital signature", "server auth", "key encipherment")
	ofNode    = x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:n1", Organization: []string{"system:nodes"}}}
)

// request is a CertificateSigningRequest of a node for itself, made now.
func request(t *testing.T, signer string, uses []certificatesv1.KeyUsage, of x509.CertificateRequest, conditions ...certificatesv1.RequestConditionType) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &of, key)
	if err != nil {
		t.Fatal(err)
	}
	csr := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "r", CreationTimestamp: metav1.NewTime(now)}}
	csr.Spec = certificatesv1.CertificateSigningRequestSpec{
		Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), SignerName: signer, Usages: uses,
		Username: "system:node:n1", Groups: []string{"system:nodes", "system:authenticated"},
	}
	for _, c := range conditions {
		csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: c, Status: corev1.ConditionTrue, LastUpdateTime: metav1.NewTime(now)})
	}
	return csr
}

const approved, denied, failed = certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed

func TestWhatIsRefused(t *testing.T) {
	with := func(change func(*x509.CertificateRequest)) x509.CertificateRequest {
		r := ofNode
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		signer string
		uses   []certificatesv1.KeyUsage
		of     x509.CertificateRequest
		want   string
	}{
		"client":                {client, usages("client auth"), x509.CertificateRequest{Subject: pkix.Name{CommonName: "alice"}}, ""},
		"client to serve":       {client, usages("client auth", "server auth"), ofNode, "invalid usage for client certificate: server auth"},
		"client without auth":   {client, usages("digital signature"), ofNode, "missing required usage for client certificate: client auth"},
		"kubelet":               {kubelet, clientUse, ofNode, ""},
		"kubelet with RSA":      {kubelet, append(usages("key encipherment"), clientUse...), ofNode, ""},
		"kubelet to serve":      {kubelet, serverUse, ofNode, "usages did not match [client auth digital signature key encipherment]"},
		"kubelet elsewhere":     {kubelet, clientUse, x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:n1"}}, "subject organization is not system:nodes"},
		"kubelet in two groups": {kubelet, clientUse, with(func(r *x509.CertificateRequest) { r.Subject.Organization = []string{"system:masters", "system:nodes"} }), "subject organization is not system:nodes"},
		"kubelet of no node":    {kubelet, clientUse, with(func(r *x509.CertificateRequest) { r.Subject.CommonName = "n1" }), "subject common name does not begin with system:node:"},
		"kubelet with DNS":      {kubelet, clientUse, with(func(r *x509.CertificateRequest) { r.DNSNames = []string{"a"} }), "DNS subjectAltNames are not allowed"},
		"kubelet with mail":     {kubelet, clientUse, with(func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@b"} }), "Email subjectAltNames are not allowed"},
		"kubelet with IP":       {kubelet, clientUse, with(func(r *x509.CertificateRequest) { r.IPAddresses = []net.IP{{1, 2, 3, 4}} }), "IP subjectAltNames are not allowed"},
		"kubelet with URI":      {kubelet, clientUse, with(func(r *x509.CertificateRequest) { r.URIs = []*url.URL{{Scheme: "a", Host: "b"}} }), "URI subjectAltNames are not allowed"},
		"serving":               {serving, serverUse, with(func(r *x509.CertificateRequest) { r.DNSNames = []string{"n1"} }), ""},
		"serving nowhere":       {serving, serverUse, ofNode, "DNS or IP subjectAltName is required"},
		"serving as a client":   {serving, clientUse, with(func(r *x509.CertificateRequest) { r.DNSNames = []string{"n1"} }), "usages did not match [digital signature key encipherment server auth]"},
		"legacy":                {legacySigner, usages("any", "cert sign"), x509.CertificateRequest{}, ""},
		"legacy, unknown usage": {legacySigner, usages("flying"), x509.CertificateRequest{}, `unrecognized usage values: ["flying"]`},
	} {
		p, err := Decide(request(t, c.signer, c.uses, c.of, approved), authority, now)
		if name == "legacy, unknown usage" {
			if err == nil || err.Error() != c.want {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || p.Fail != c.want || (p.Sign == nil) != (c.want != "") {
			t.Errorf("%s: fails with %q, signs %t, %v; want %q", name, p.Fail, p.Sign != nil, err, c.want)
		}
	}
}

func TestWhatIsDone(t *testing.T) {
	reviewed := func(p Plan) string {
		var all []string
		for _, r := range p.Reviews {
			all = append(all, r.Subresource)
		}
		return strings.Join(all, " ")
	}
	other := request(t, kubelet, clientUse, ofNode)
	other.Spec.Username = "system:bootstrap:abcdef"
	foreign := request(t, "example.com/signer", clientUse, ofNode, approved)
	signed := request(t, kubelet, clientUse, ofNode, approved)
	signed.Status.Certificate = []byte("something")
	leaving := request(t, kubelet, clientUse, ofNode, approved)
	leaving.DeletionTimestamp = ptr.To(metav1.NewTime(now))
	withName := ofNode
	withName.DNSNames = []string{"n1"}
	for name, c := range map[string]struct {
		csr  *certificatesv1.CertificateSigningRequest
		want string
	}{
		"its own":          {request(t, kubelet, clientUse, ofNode), "selfnodeclient nodeclient"},
		"of a new machine": {other, "nodeclient"},
		"not fitting":      {request(t, kubelet, serverUse, ofNode), ""},
		"a person's":       {request(t, client, clientUse, ofNode), ""},
		"serving":          {request(t, serving, serverUse, withName), "serving"},
		"approved":         {request(t, kubelet, clientUse, ofNode, approved), "sign"},
		"denied":           {request(t, kubelet, clientUse, ofNode, denied), ""},
		"both":             {request(t, kubelet, clientUse, ofNode, approved, denied), ""},
		"failed":           {request(t, kubelet, clientUse, ofNode, approved, failed), ""},
		"another's":        {foreign, ""},
		"signed":           {signed, ""},
		"leaving":          {leaving, ""},
	} {
		p, err := Decide(c.csr, authority, now)
		got := reviewed(p)
		if p.Sign != nil {
			got += "sign"
		}
		if p.Serving != nil {
			got += "serving"
		}
		if err != nil || got != c.want || p.Fail != "" || p.Delete {
			t.Errorf("%s: %q, %+v, %v; want %q", name, got, p, err, c.want)
		}
	}
	broken := request(t, kubelet, clientUse, ofNode)
	broken.Spec.Request = []byte("x")
	if p, err := Decide(broken, authority, now); err == nil || p.End.IsZero() {
		t.Errorf("no request at all: %+v, %v", p, err)
	}
}

func TestTimesOfACertificate(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		seconds int32
		end     time.Duration // of the authority
		want    time.Duration
	}{
		"nothing asked":    {0, 3650 * day, 365*day - 5*time.Minute},
		"longer":           {math32, 3650 * day, 365*day - 5*time.Minute},
		"a day":            {86400, 3650 * day, day - 5*time.Minute},
		"eight hours":      {8 * 3600, 3650 * day, 8*time.Hour - 5*time.Minute},
		"an hour":          {3600, 3650 * day, time.Hour},
		"ten minutes":      {600, 3650 * day, 10 * time.Minute},
		"too little":       {1, 3650 * day, 10 * time.Minute},
		"the authority's":  {0, 10 * day, 10 * day},
		"no authority now": {0, 0, -1},
	} {
		csr := request(t, client, clientUse, ofNode, approved)
		if c.seconds != 0 {
			csr.Spec.ExpirationSeconds = &c.seconds
		}
		a := authority
		a.NotAfter = now.Add(c.end)
		p, err := Decide(csr, a, now)
		if c.want < 0 {
			if err == nil || !strings.Contains(err.Error(), "refusing to sign a certificate that expired in the past: NotAfter=") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || p.Sign.NotAfter.Sub(now) != c.want || now.Sub(p.Sign.NotBefore) != 5*time.Minute {
			t.Errorf("%s: from %s to %s, %v; want %s", name, p.Sign.NotBefore, p.Sign.NotAfter, err, c.want)
		}
	}
}

const math32 = 1<<31 - 1

// What a request says beyond its subject, names and key is not in the certificate.
func TestNoAuthorityIsMade(t *testing.T) {
	of := ofNode
	of.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}}
	p, err := Decide(request(t, kubelet, clientUse, of, approved), authority, now)
	if err != nil || p.Sign.IsCA || !p.Sign.BasicConstraintsValid || len(p.Sign.ExtraExtensions)+len(p.Sign.Extensions) > 0 ||
		p.Sign.KeyUsage != x509.KeyUsageDigitalSignature || !slices.Equal(p.Sign.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) {
		t.Errorf("%+v, %v", p.Sign, err)
	}
}

func TestExpiry(t *testing.T) {
	cert := func(life time.Duration) []byte {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: now.Add(life)}, &x509.Certificate{}, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	with := func(certificate []byte, conditions ...certificatesv1.RequestConditionType) *certificatesv1.CertificateSigningRequest {
		csr := request(t, "example.com/any", clientUse, ofNode, conditions...)
		csr.Status.Certificate = certificate
		return csr
	}
	for name, c := range map[string]struct {
		csr  *certificatesv1.CertificateSigningRequest
		want time.Duration
	}{
		"pending":               {with(nil), 24 * time.Hour},
		"approved":              {with(nil, approved), 24 * time.Hour},
		"denied":                {with(nil, denied), time.Hour},
		"failed":                {with(nil, failed), time.Hour},
		"approved, then failed": {with(nil, approved, failed), time.Hour},
		"issued":                {with(cert(48*time.Hour), approved), time.Hour},
		"issued for a moment":   {with(cert(time.Minute), approved), time.Minute},
		"of another condition":  {with(nil, "Strange"), -1},
	} {
		at := func(d time.Duration) bool {
			p, err := Decide(c.csr, authority, now.Add(d))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return p.Delete
		}
		if c.want < 0 {
			if at(1000 * time.Hour) {
				t.Errorf("%s: deleted", name)
			}
			continue
		}
		if at(c.want) || !at(c.want+time.Second) {
			t.Errorf("%s: not deleted after %s", name, c.want)
		}
	}
}

func TestServesOnlyItself(t *testing.T) {
	node := func(name string, addresses ...string) corev1.Node {
		n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, a := range addresses {
			n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
		}
		return n
	}
	nodes := []corev1.Node{node("n1", "10.0.0.1", "fd00::1", "10.0.0.9", "10.43.0.1", "10.0.0.200", "127.0.0.1"), node("n2", "10.0.0.2", "10.0.0.9")}
	taken := Taken{Names: []string{"kubernetes"}, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.200")}, Ranges: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")}}
	for name, c := range map[string]struct {
		user string
		dns  []string
		ips  []string
		want string
	}{
		"itself":           {"", []string{"n1"}, []string{"10.0.0.1", "fd00::1"}, ""},
		"by name":          {"", []string{"n1"}, nil, ""},
		"for another":      {"system:node:n2", []string{"n1"}, nil, "system:node:n2 asks for a certificate of system:node:n1"},
		"another's name":   {"", []string{"n1", "n2"}, nil, `"n2" is not the name of node n1`},
		"the API's name":   {"", []string{"kubernetes"}, nil, `"kubernetes" is not the name of node n1`},
		"another's IP":     {"", nil, []string{"10.0.0.2"}, "10.0.0.2 is not an address of node n1"},
		"a shared IP":      {"", nil, []string{"10.0.0.9"}, "10.0.0.9 is an address of other nodes too"},
		"a service's IP":   {"", nil, []string{"10.43.0.1"}, "10.43.0.1 is not a node's to serve on"},
		"the API's IP":     {"", nil, []string{"10.0.0.200"}, "10.0.0.200 is not a node's to serve on"},
		"every machine's":  {"", nil, []string{"127.0.0.1"}, "127.0.0.1 is not a node's to serve on"},
		"somewhere's IP":   {"", nil, []string{"8.8.8.8"}, "8.8.8.8 is not an address of node n1"},
		"one good one bad": {"", []string{"n1"}, []string{"10.0.0.1", "8.8.8.8"}, "8.8.8.8 is not an address of node n1"},
	} {
		of := ofNode
		of.DNSNames = c.dns
		for _, ip := range c.ips {
			of.IPAddresses = append(of.IPAddresses, net.ParseIP(ip))
		}
		csr := request(t, serving, serverUse, of)
		if c.user != "" {
			csr.Spec.Username = c.user
		}
		p, err := Decide(csr, authority, now)
		if err != nil || p.Serving == nil {
			t.Fatalf("%s: %+v, %v", name, p, err)
		}
		said := ""
		if err := ServesOnlyItself(csr, p.Serving, nodes, taken); err != nil {
			said = err.Error()
		}
		if said != c.want {
			t.Errorf("%s: %q, want %q", name, said, c.want)
		}
		if said := ServesOnlyItself(csr, p.Serving, nodes[1:], taken); said == nil {
			t.Errorf("%s: approved for a node that is not there", name)
		}
	}
}
