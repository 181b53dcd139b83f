package autopool_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/autopool"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

var web = autopool.App{
	GroupVersionKind: appsv1.SchemeGroupVersion.WithKind("Deployment"), NamespacedName: types.NamespacedName{Namespace: "default", Name: "Web"},
	UID: "5e6a9f8e-0000-0000-0000-b1a361c7e9df", Replicas: 3,
}

func TestAsks(t *testing.T) {
	for _, tt := range []struct{ name, key, text, want string }{
		{"none", "other", "", "[]"},
		{"one", address.SubnetAnnotation, `{"ipv4":["a"],"ipv6":["b"]}`, "[{eth0 4 a} {eth0 6 b}]"},
		{"several", address.SubnetsAnnotation, `[{"interface":"eth0","ipv4":["a"]},{"interface":"net1","ipv6":["b"]}]`, "[{eth0 4 a} {net1 6 b}]"},
		{"no JSON", address.SubnetAnnotation, `a`, "annotation ipam.spidernet.io/subnet: wrong input: invalid character 'a'"},
		{"nothing", address.SubnetAnnotation, `{}`, "annotation ipam.spidernet.io/subnet: wrong input: neither ipv4 nor ipv6 names a subnet for interface eth0"},
		{"an empty list", address.SubnetsAnnotation, `[]`, "annotation ipam.spidernet.io/subnets: wrong input: it names no subnet"},
		{"two", address.SubnetAnnotation, `{"ipv4":["a","b"]}`, "one subnet of each IP version, not [a b]"},
		{"no interface", address.SubnetsAnnotation, `[{"ipv4":["a"]}]`, "element 0 needs an interface of its own"},
		{"twice", address.SubnetsAnnotation, `[{"interface":"a","ipv4":["a"]},{"interface":"a","ipv4":["a"]}]`, "element 1 needs an interface of its own"},
	} {
		asks, err := autopool.Asks(map[string]string{tt.key: tt.text})
		got := fmt.Sprint(asks)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestNumberAndReclaim(t *testing.T) {
	for text, want := range map[string]int{"+0": 3, "+4": 7, "5": 5, "0": 0, "-1": -1, "+": -1, "x": -1, "++1": -1, "99999999999": -1} {
		n, err := autopool.Number(map[string]string{autopool.NumberAnnotation: text}, 3)
		if (err != nil) != (want < 0) || err == nil && n != want {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	if n, err := autopool.Number(nil, 3); n != 4 || err != nil {
		t.Errorf("unsaid: %d, %v", n, err)
	}
	for text, want := range map[string]string{"": "true", "true": "true", "false": "false", "maybe": "wrong"} {
		a := map[string]string{autopool.ReclaimAnnotation: text}
		if text == "" {
			a = nil
		}
		yes, err := autopool.Reclaim(a)
		if got := fmt.Sprint(yes); err == nil && got != want || (err != nil) != (want == "wrong") {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

func TestPoolOfAWorkload(t *testing.T) {
	ask := autopool.Ask{Interface: "eth0", Family: address.IPv4, Subnet: "s"}
	subnet := &spiderpoolv2beta1.SpiderSubnet{Spec: spiderpoolv2beta1.SubnetSpec{Subnet: "10.9.0.0/16"}}
	span, _ := address.ParseSpan("10.9.0.1-10.9.0.4")
	p := autopool.New(web, ask, subnet, true, []address.Span{span})
	if p.Name != "auto4-web-eth0-b1a36" || fmt.Sprint(p.Spec.IPs) != "[10.9.0.1-10.9.0.4]" || p.Spec.PodAffinity.MatchLabels["ipam.spidernet.io/app-name"] != "Web" {
		t.Errorf("%+v", p)
	}
	if app, ok := autopool.Owner(p); !ok || app.Application() != "apps_v1:Deployment:default:Web" || app.UID != web.UID || app.GroupVersionKind != web.GroupVersionKind {
		t.Errorf("it was made for %+v", app)
	}
	later := web
	later.UID = "another"
	if !autopool.Fits(p, web, ask) || autopool.Fits(p, later, ask) || autopool.Fits(p, web, autopool.Ask{Interface: "net1", Family: address.IPv4, Subnet: "s"}) {
		t.Error("it fits whom it should not")
	}
	if kept := autopool.New(web, ask, subnet, false, nil); !autopool.Fits(kept, later, ask) {
		t.Error("a pool that is kept is not its successor's")
	}
	if !autopool.ByApp(p) || autopool.ByApp(&spiderpoolv2beta1.SpiderIPPool{}) {
		t.Error("whose pods it is for")
	}
}

// A pool becomes as large as asked, or says what it lacks; it loses nothing that is
// held, and takes only what is free.
func TestFit(t *testing.T) {
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, byte(240 + i)}) } // to the last there is
	rapid.Check(t, func(t *rapid.T) {
		var has, free []address.Span
		var held []netip.Addr
		for i := range 16 {
			one := address.Span{First: at(i), Last: at(i)}
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				has = append(has, one)
			case 1:
				has, held = append(has, one), append(held, at(i))
			case 2:
				free = append(free, one)
			}
		}
		n := rapid.IntRange(0, 20).Draw(t, "n")
		out, short := autopool.Fit(has, free, held, n)
		if len(address.Subtract(out, append(slices.Clone(has), free...))) > 0 {
			t.Fatalf("%v is neither had nor free", out)
		}
		for _, a := range held {
			if !slices.ContainsFunc(out, func(s address.Span) bool { return s.Contains(a) }) {
				t.Fatalf("%s is held and gone: %v", a, out)
			}
		}
		count := int(address.Count(out))
		all := int(address.Count(has) + address.Count(free))
		if want := max(min(n, all), len(held)); count != want || short != max(0, n-all) {
			t.Fatalf("%d of %d, short of %d, with %d held of %v and %v free", count, n, short, len(held), has, free)
		}
		if again, _ := autopool.Fit(out, address.Subtract(free, out), held, n); fmt.Sprint(again) != fmt.Sprint(out) {
			t.Fatalf("again: %v, before %v", again, out)
		}
	})
}
