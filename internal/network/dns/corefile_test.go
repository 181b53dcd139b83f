package dns_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"berth.dev/berth/internal/network/dns"
	"berth.dev/berth/internal/plan/corefile"
)

// written is the ConfigMap as a user edits it.
func written(text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}, Data: map[string]string{"Corefile": text}}
}

func edit(t *testing.T, client *fake.Clientset, text string) {
	t.Helper()
	if _, err := client.CoreV1().ConfigMaps("kube-system").Update(t.Context(), written(text), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// soon asks until the answer is as wanted.
func soon(t *testing.T, server, name string, want ...string) {
	t.Helper()
	began := time.Now()
	for {
		got, reply := ask(t, server, "udp", name, mdns.TypeA)
		if slices.Equal(got, want) {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%s = %v (rcode %d), want %v", name, got, reply.Rcode, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestAllThatACorefileMaySay(t *testing.T) {
	ns, headless, plain, slice := objects()
	stub, rest := answering(t, "192.0.2.7"), answering(t, "192.0.2.8")
	client := fake.NewClientset(ns, headless, plain, slice, written(fmt.Sprintf(`(common) {
    errors
    loadbalance
}
# What belongs to the company.
example.org:53 {
    import common
    forward . %s
}
.:53 {
    import common
    log
    health {
       lameduck 5s
    }
    ready
    prometheus :9153
    rewrite name db.internal read.default.svc.cluster.local
    template IN A sandbox.test {
       match "^ip-(?P<a>[0-9]+)[.]sandbox[.]test[.]$"
       answer "{{ .Name }} 60 IN A 198.51.100.{{ .Group.a }}"
       fallthrough
    }
    hosts {
       203.0.113.5 printer.lan "scanner.lan"
       fallthrough
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
}
`, stub)))
	n := serve(t, client, upstreams(rest))
	for name, want := range map[string][]string{
		"www.example.org.":                 {"192.0.2.7"},
		"www.example.com.":                 {"192.0.2.8"},
		"printer.lan.":                     {"203.0.113.5"},
		"scanner.lan.":                     {"203.0.113.5"},
		"db.internal.":                     {"10.43.7.7"},
		"ip-9.sandbox.test.":               {"198.51.100.9"},
		"nginx.default.svc.cluster.local.": {"10.42.0.10", "10.42.0.11"},
	} {
		if got, reply := ask(t, n.addr, "udp", name, mdns.TypeA); !slices.Equal(got, want) {
			t.Errorf("%s = %v (rcode %d), want %v", name, got, reply.Rcode, want)
		}
	}
	_, reply := ask(t, n.addr, "udp", "web-2.nginx.default.svc.cluster.local.", mdns.TypeA)
	if soa, ok := reply.Ns[0].(*mdns.SOA); reply.Rcode != mdns.RcodeNameError || !ok || soa.Minttl != 0 || soa.Hdr.Ttl != 0 {
		t.Errorf("the absence of a cluster's name may be kept: %v", reply)
	}
	host := strings.TrimSuffix(n.addr, ":53")
	for path, want := range map[string]string{":8080/health": "OK", ":8181/ready": "OK", ":9153/metrics": "coredns_dns_requests_total{"} {
		body := page(t, "http://"+host+path)
		// What was answered is counted after that.
		for began := time.Now(); !strings.Contains(body, want) && time.Since(began) < time.Minute; body = page(t, "http://"+host+path) {
			time.Sleep(10 * time.Millisecond)
		}
		if !strings.Contains(body, want) {
			t.Errorf("%s = %s, want %s", path, body, want)
		}
		if strings.Contains(body, "etcd_") || strings.Contains(body, "apiserver_") {
			t.Errorf("%s tells pods of other parts of the process", path)
		}
	}
}

func page(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

func TestAnEditIsFollowedAndAMistakeIsNot(t *testing.T) {
	ns, headless, plain, slice := objects()
	const hosts = `.:53 {
    health
    ready
    prometheus :9153
    hosts {
       %s www.lan
       fallthrough
    }
    kubernetes cluster.local
}
`
	client := fake.NewClientset(ns, headless, plain, slice, written(fmt.Sprintf(hosts, "203.0.113.1")))
	n := serve(t, client)
	soon(t, n.addr, "www.lan.", "203.0.113.1")
	for i, wrong := range []struct{ text, event string }{
		{".:53 {\n    errors\n    health nonsense\n}", "Corefile:3 - plugin/health: address nonsense: missing port in address"},
		{".:53 {\n    errors\n    route53 example.org\n}", "Corefile:3 - Error during parsing: Unknown directive 'route53'"},
		{".:53 {\n    kubernetes cluster.local {\n       frobnicate\n    }\n}", "Corefile:3 - plugin/kubernetes: Error during parsing: unknown property 'frobnicate'"},
		{".:53 {\n    kubernetes cluster.local {\n       endpoint https://elsewhere\n    }\n}", "Corefile:3 - kubernetes: endpoint is not supported"},
		{".:53 {\n    errors\n", "Corefile:1 - the { of this server block is never closed"},
		{".:53 {\n    import /etc/passwd\n}", "Corefile:2 - import /etc/passwd: files of the nodes are not read"},
		{".:53 {\n    template IN A x {\n      answer \"{$PATH}\"\n   }\n}", "Corefile:3 - \"{$PATH}\" names a variable of the environment"},
		{".:53 {\n    errors\n}\n.:53 {\n    errors\n}", "cannot serve dns://"},
		{"", "Corefile:1 - there is no server block"},
	} {
		edit(t, client, wrong.text)
		select {
		case event := <-n.events:
			if !strings.HasPrefix(event, "Warning InvalidCorefile ") || !strings.Contains(event, wrong.event) || !strings.HasSuffix(event, "the one before it stays in force") {
				t.Errorf("%d: event %q, want %q", i, event, wrong.event)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%d: no event", i)
		}
		if got, _ := ask(t, n.addr, "udp", "www.lan.", mdns.TypeA); !slices.Equal(got, []string{"203.0.113.1"}) {
			t.Errorf("%d: after a mistake: %v", i, got)
		}
	}
	host := strings.TrimSuffix(n.addr, ":53")
	for i := range 5 {
		addr := fmt.Sprintf("203.0.113.%d", 10+i)
		edit(t, client, fmt.Sprintf(hosts, addr))
		soon(t, n.addr, "www.lan.", addr)
		soon(t, n.addr, "read.default.svc.cluster.local.", "10.43.7.7")
	}
	for path, want := range map[string]string{":8080/health": "OK", ":8181/ready": "OK", ":9153/metrics": "coredns_dns_requests_total{"} {
		if body := page(t, "http://"+host+path); !strings.Contains(body, want) {
			t.Errorf("%s = %s, want %s", path, body, want)
		}
	}
	if err := client.CoreV1().ConfigMaps("kube-system").Delete(t.Context(), "coredns", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	soon(t, n.addr, "www.lan.") // the default: refused without servers
	soon(t, n.addr, "read.default.svc.cluster.local.", "10.43.7.7")
}

func TestNamesResolveWhenTheFirstCorefileIsWrong(t *testing.T) {
	ns, headless, plain, slice := objects()
	n := serve(t, fake.NewClientset(ns, headless, plain, slice, written("nonsense")))
	if event := <-n.events; !strings.Contains(event, "Corefile:1 - ") || !strings.HasSuffix(event, "the default is in force") {
		t.Errorf("event %q", event)
	}
	soon(t, n.addr, "read.default.svc.cluster.local.", "10.43.7.7")
}

func TestALoopEndsForwardingNotTheNode(t *testing.T) {
	ns, headless, plain, slice := objects()
	// The machine's server sends back to the DNS what it is asked.
	var back string
	ready := make(chan struct{})
	mirror := upstream(t, func(w mdns.ResponseWriter, r *mdns.Msg) {
		<-ready
		reply, _, err := (&mdns.Client{Timeout: time.Minute}).Exchange(r, back)
		if err != nil {
			reply = new(mdns.Msg).SetRcode(r, mdns.RcodeServerFailure)
		}
		_ = w.WriteMsg(reply)
	})
	n := serve(t, fake.NewClientset(ns, headless, plain, slice), upstreams(mirror))
	back = n.addr
	close(ready)
	began := time.Now()
	for {
		if _, reply := ask(t, n.addr, "udp", fmt.Sprintf("x%d.example.org.", time.Now().UnixNano()), mdns.TypeA); reply.Rcode == mdns.RcodeServerFailure {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("queries go round in circles")
		}
	}
	soon(t, n.addr, "read.default.svc.cluster.local.", "10.43.7.7")
}

func TestTheUsersCorefileIsNeverOverwritten(t *testing.T) {
	client := fake.NewClientset()
	maps := client.CoreV1().ConfigMaps("kube-system")
	is := func() string {
		m, err := maps.Get(t.Context(), "coredns", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return m.Data["Corefile"]
	}
	ensure := func(domain string) {
		if err := dns.EnsureCorefile(t.Context(), client, domain); err != nil {
			t.Fatal(err)
		}
	}
	ensure("cluster.local")
	if is() != corefile.Default("cluster.local") {
		t.Errorf("made: %s", is())
	}
	ensure("kube.local")
	if is() != corefile.Default("kube.local") {
		t.Errorf("the default does not follow the domain: %s", is())
	}
	const own = ".:53 {\n    errors\n}\n"
	m, err := maps.Get(t.Context(), "coredns", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m.Data["Corefile"] = own
	if _, err := maps.Update(t.Context(), m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	ensure("cluster.local")
	if is() != own {
		t.Errorf("a user's Corefile became %s", is())
	}
}
