package secure_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
	"berth.dev/berth/internal/apiserver/secure"
	"berth.dev/berth/internal/pki"
)

type cluster struct {
	*apitest.Env
	t   *testing.T
	set *pki.Set
}

func start(t *testing.T) *cluster {
	t.Helper()
	return startWith(t, secure.Options{})
}

func startWith(t *testing.T, o secure.Options) *cluster {
	t.Helper()
	set, err := pki.Ensure(filepath.Join(t.TempDir(), "pki"), pki.Options{NodeName: "n1", ServiceIPs: []net.IP{net.IPv4(10, 43, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	env := apitest.Start(t, func(c *apiserver.Config) {
		o.PKI = set
		c.Flags = flags{"tls-san": "[a.example.org]"}
		if err := secure.Apply(c, o); err != nil {
			t.Fatal(err)
		}
	})
	return &cluster{env, t, set}
}

// flags are what the program was started with.
type flags map[string]string

func (f flags) GetFlagz() map[string]string { return f }

func (c *cluster) client(config *rest.Config) kubernetes.Interface {
	c.t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		c.t.Fatal(err)
	}
	return client
}

// tls is a client of the real listener, anonymous but for what set adds.
func (c *cluster) tls(set func(*rest.Config)) kubernetes.Interface {
	config := &rest.Config{Host: "https://" + c.Server.Addr().String(), QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: c.set.CA.CertPEM}}
	set(config)
	return c.client(config)
}

func (c *cluster) withCert(p pki.Pair) kubernetes.Interface {
	return c.tls(func(r *rest.Config) { r.CertData, r.KeyData = p.CertPEM, p.KeyPEM })
}

func (c *cluster) withToken(token string) kubernetes.Interface {
	return c.tls(func(r *rest.Config) { r.BearerToken = token })
}

func (c *cluster) pod(name, node string) *corev1.Pod {
	c.t.Helper()
	pod, err := c.Client.CoreV1().Pods("default").Create(c.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "demo"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return pod
}

func (c *cluster) account(namespace, name string) {
	c.t.Helper()
	_, err := c.Client.CoreV1().ServiceAccounts(namespace).Create(c.t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
}

func forbidden(t *testing.T, err error, text string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), text) {
		t.Errorf("got error %v, want Forbidden with %q", err, text)
	}
}

// settled waits until the roles are stored.
func (c *cluster) settled() []rbacv1.ClusterRole {
	c.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		roles, err := c.Client.RbacV1().ClusterRoles().List(c.t.Context(), metav1.ListOptions{})
		if err != nil {
			c.t.Fatal(err)
		}
		bindings, err := c.Client.RbacV1().RoleBindings("kube-system").List(c.t.Context(), metav1.ListOptions{})
		if err == nil && len(bindings.Items) >= 3 {
			return roles.Items
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the default roles were not written: %d cluster roles", len(roles.Items))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within ten seconds", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
