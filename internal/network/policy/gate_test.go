package policy_test

import (
	"net"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// echo answers what it is sent on a port of the pod.
func (s space) echo(t *testing.T, port string) {
	t.Helper()
	s.in(t, func() {
		l, err := net.Listen("tcp4", ":"+port)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					buf := make([]byte, 1)
					for {
						if _, err := c.Read(buf); err != nil {
							return
						}
						if _, err := c.Write(buf); err != nil {
							return
						}
					}
				}()
			}
		}()
	})
}

// A packet between two pods of the node has to please the policies of both, and a
// connection that is older than the first policy goes on.
func TestBothEndsHaveToAgree(t *testing.T) {
	host(t)
	server, client := newSpace(t, "server", "10.42.0.3"), newSpace(t, "client", "10.42.0.4")
	server.echo(t, "80")
	policyOf := func(app, peer string, way networkingv1.PolicyType) *networkingv1.NetworkPolicy {
		selector := metav1.LabelSelector{MatchLabels: map[string]string{"app": peer}}
		np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: app}, Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}, PolicyTypes: []networkingv1.PolicyType{way},
		}}
		if way == networkingv1.PolicyTypeIngress {
			np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &selector}}}}
		} else {
			np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{PodSelector: &selector}}}}
		}
		return np
	}
	api := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "prod"}}, pod("server", "10.42.0.3"), pod("client", "10.42.0.4"))
	start(t, api)
	var old net.Conn
	var err error
	client.in(t, func() { old, err = net.DialTimeout("tcp4", "10.42.0.3:80", 30*time.Second) })
	check(t, err)
	defer old.Close()
	const short = 300 * time.Millisecond
	reached := func() (ok bool) {
		client.in(t, func() { ok = reaches(server.ip, 80, short) })
		return ok
	}
	policies := api.NetworkingV1().NetworkPolicies("prod")
	for _, step := range []struct {
		what    string
		np      *networkingv1.NetworkPolicy
		reaches bool
	}{
		{"the server lets nobody in", policyOf("server", "nobody", networkingv1.PolicyTypeIngress), false},
		{"it lets the client in", policyOf("server", "client", networkingv1.PolicyTypeIngress), true},
		{"the client may not go there", policyOf("client", "nobody", networkingv1.PolicyTypeEgress), false},
		{"it may", policyOf("client", "server", networkingv1.PolicyTypeEgress), true},
		{"the server lets nobody in again", policyOf("server", "nobody", networkingv1.PolicyTypeIngress), false},
	} {
		_, err := policies.Get(t.Context(), step.np.Name, metav1.GetOptions{})
		if err == nil {
			_, err = policies.Update(t.Context(), step.np, metav1.UpdateOptions{})
		} else {
			_, err = policies.Create(t.Context(), step.np, metav1.CreateOptions{})
		}
		check(t, err)
		eventually(t, step.what, func() bool { return reached() == step.reaches })
		check(t, old.SetDeadline(time.Now().Add(time.Minute)))
		buf := []byte("x")
		if _, err := old.Write(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := old.Read(buf); err != nil {
			t.Fatalf("%s: the connection from before the policies: %v", step.what, err)
		}
	}
	for _, name := range []string{"server", "client"} {
		check(t, policies.Delete(t.Context(), name, metav1.DeleteOptions{}))
	}
	eventually(t, "all is open again", reached)
}
