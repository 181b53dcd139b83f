package corefile_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/coredns/caddy/caddyfile"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/plan/corefile"
)

var here = corefile.Node{
	ID: "7", Addresses: []netip.Addr{netip.MustParseAddr("10.43.0.10"), netip.MustParseAddr("fd00:43::a")}, Upstream: []string{"192.0.2.53:53"},
}

func at(t *testing.T, text string, n corefile.Node) (string, error) {
	t.Helper()
	f, err := corefile.Parse(text)
	if err != nil {
		return "", err
	}
	own, err := f.At(n)
	if err != nil {
		return "", err
	}
	return own.String(), nil
}

func TestWhatANodeMakesOfACorefile(t *testing.T) {
	got, err := at(t, corefile.Default("kube.local"), here)
	if err != nil {
		t.Fatal(err)
	}
	want := `.:53 { bind 10.43.0.10 fd00:43::a
 errors
 health 10.43.0.10:8080
 ready 10.43.0.10:8181
 berth_kubernetes 7 kube.local in-addr.arpa ip6.arpa {
 pods insecure
 fallthrough in-addr.arpa ip6.arpa
 ttl 0
 }
 berth_prometheus 10.43.0.10:9153
 forward . 192.0.2.53:53 {
 max_concurrent 1000
 }
 cache 30
 loop
 reload
 loadbalance
 }
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParts(t *testing.T) {
	alone := here
	alone.Upstream = nil
	for _, c := range []struct {
		name, text string
		node       corefile.Node
		want       string // or what the error says
	}{
		{"no server to ask", ".:53 {\nforward . /etc/resolv.conf {\nmax_concurrent 1\n}\n}", alone, ".:53 { bind 10.43.0.10 fd00:43::a\n berth_refuse .\n\n\n }\n"},
		{"another server beside", ".:53 {\nforward . /etc/resolv.conf 10.0.0.1\n}", here, ".:53 { bind 10.43.0.10 fd00:43::a\n forward . 192.0.2.53:53 10.0.0.1\n }\n"},
		{"addresses of the user's own", ".:53 {\nbind 10.0.0.9\nhealth 10.0.0.9:8080\nprometheus\n}", here, ".:53 {\n bind 10.0.0.9\n health 10.0.0.9:8080\n berth_prometheus localhost:9153\n }\n"},
		{"no lameduck", ".:53 {\nhealth {\nlameduck 5s\n}\n}", here, ".:53 { bind 10.43.0.10 fd00:43::a\n health 10.43.0.10:8080 {\n\n }\n }\n"},
		{"quotes, comments and several zones", "a.test:53,\nb.test:53 { # two\nhosts {\n\"1.2.3.4\" \"a b\"\n}\n}", here, "a.test:53,\n b.test:53 { bind 10.43.0.10 fd00:43::a\n hosts {\n 1.2.3.4 \"a b\"\n }\n }\n"},
		{"a snippet", "(s) {\nerrors\n}\n.:53 {\nimport s\n}", here, "(s) {\n errors\n }\n .:53 { bind 10.43.0.10 fd00:43::a\n import s\n }\n"},
		{"pods verified", ".:53 {\nkubernetes cluster.local {\npods verified\n}\n}", here, "Corefile:3 - kubernetes: pods is not supported: pods are not looked up: use insecure or disabled"},
		{"a key of the API", ".:53 {\nkubernetes cluster.local {\ntls a b c\n}\n}", here, "Corefile:3 - kubernetes: tls is not supported: the DNS reaches its own cluster by itself"},
		{"no snippet", ".:53 {\n\nimport other\n}", here, "Corefile:3 - import other: files of the nodes are not read; there is no snippet of this name"},
		{"no zone", "{\n}", here, "Corefile:1 - the server block has no zone"},
		{"no brace", ".:53", here, "Corefile:1 - a { is expected after the zones of a server block"},
		{"brace on the next line but one", ".:53\nerrors\n", here, `Corefile:2 - "errors" stands where the { of a server block is expected`},
		{"never closed", "\n.:53 {\nerrors\nhosts {\n}", here, "Corefile:2 - the { of this server block is never closed"},
		{"a directive beside the brace", ".:53 { errors\n}", here, `Corefile:1 - "errors" has to begin a line of its own`},
		{"one brace too many", ".:53 {\n}\n}", here, `Corefile:3 - "}" stands where the { of a server block is expected`},
		{"the environment", ".:53 {\nforward . {$SECRET}\n}", here, `Corefile:2 - "{$SECRET}" names a variable of the environment, which has none for the DNS`},
		{"nothing", "# only words\n", here, "Corefile:1 - there is no server block"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := at(t, c.text, c.node)
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// CoreDNS reads what we write, so words have to be the same for both.
func TestWordsAreThoseThatCoreDNSReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([a-z{}"#\\\\ \n\r\t]|\\")*`).Draw(t, "text")
		d := caddyfile.NewDispenser(corefile.Name, strings.NewReader(text))
		var theirs []string
		for d.Next() {
			theirs = append(theirs, fmt.Sprint(d.Line(), " ", d.Val()))
		}
		if diff := cmp.Diff(theirs, corefile.Words(text)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Whatever is written, words stay on their lines, so that CoreDNS' messages name the user's.
func TestWordsStayOnTheirLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z0-9.:/]{1,8}|"[a-z #\\n{}]{0,8}"`)
		var b strings.Builder
		for range rapid.IntRange(1, 3).Draw(t, "blocks") {
			b.WriteString(strings.Repeat("\n", rapid.IntRange(0, 3).Draw(t, "empty")) + "zone.test:53 {\n")
			for range rapid.IntRange(0, 4).Draw(t, "directives") {
				b.WriteString(strings.Repeat("\n", rapid.IntRange(0, 2).Draw(t, "empty")) + "d" + strings.Join(rapid.SliceOfN(word, 0, 3).Draw(t, "words"), " ") + "\n")
			}
			b.WriteString("}\n")
		}
		first, err := corefile.Parse(b.String())
		if err != nil {
			return
		}
		second, err := corefile.Parse(first.String())
		if err != nil {
			t.Fatalf("%v in what became of\n%s", err, b.String())
		}
		if first.String() != second.String() {
			t.Fatalf("%q became %q", first.String(), second.String())
		}
	})
}

func TestTheLineOfAMistakeThatHasNone(t *testing.T) {
	f, err := corefile.Parse("(s) {\nerrors\n}\n.:53 {\nimport s\nbad one\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Line(func(text string) bool { return strings.Contains(text, "bad") }); got != 6 {
		t.Errorf("line %d, want 6", got)
	}
	if got := f.Line(func(string) bool { return false }); got != 0 {
		t.Errorf("line %d of no mistake", got)
	}
}
