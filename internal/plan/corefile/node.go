package corefile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// What Berth has in place of CoreDNS' own directives.
const (
	Cluster = "berth_kubernetes" // first argument: whose records
	Metrics = "berth_prometheus"
	Refuse  = "berth_refuse"
)

// Node is where a Corefile is to hold.
type Node struct {
	// ID tells this DNS server from others of the process.
	ID string
	// Addresses are those of the cluster's DNS.
	Addresses []netip.Addr
	// Upstream are the servers that the machine's resolv.conf names.
	Upstream []string
}

// At is the Corefile as one node follows it: on the addresses of the cluster's
// DNS, with the cluster's names from what the node watches.
func (f *File) At(n Node) (*File, error) {
	out := &File{}
	for _, b := range f.blocks {
		own := block{keys: b.keys, open: b.open, close: b.close}
		if !b.snippet() && !slices.ContainsFunc(b.directives, func(d directive) bool { return d[0].text == "bind" }) {
			listen := directive{{"bind", b.open}}
			for _, a := range n.Addresses {
				listen = append(listen, token{a.String(), b.open})
			}
			own.directives = append(own.directives, listen)
		}
		for _, t := range b.keys {
			if err := plain(t); err != nil {
				return nil, err
			}
		}
		for _, d := range b.directives {
			for _, t := range d {
				if err := plain(t); err != nil {
					return nil, err
				}
			}
			d, err := f.directive(d, n)
			if err != nil {
				return nil, err
			}
			own.directives = append(own.directives, d)
		}
		out.blocks = append(out.blocks, own)
	}
	return out, nil
}

// plain refuses what would show the environment of the node's process.
func plain(t token) error {
	for _, mark := range []string{"{$", "{%"} {
		if strings.Contains(t.text, mark) {
			return &Error{t.line, fmt.Sprintf("%q names a variable of the environment, which has none for the DNS", t.text)}
		}
	}
	return nil
}

func (f *File) directive(d directive, n Node) (directive, error) {
	switch d[0].text {
	case "kubernetes":
		if err := ours(d); err != nil {
			return nil, err
		}
		return d.with(Cluster, append([]string{n.ID}, words(d.args())...)...), nil
	case "prometheus":
		return d.with(Metrics, at(n, words(d.args()), "localhost:9153")...), nil
	case "health":
		// Nothing stands before this DNS that would need the time.
		return d.with("health", at(n, words(d.args()), ":8080")...).without("lameduck"), nil
	case "ready":
		return d.with("ready", at(n, words(d.args()), ":8181")...), nil
	case "forward":
		return upstream(d, n), nil
	case "import":
		if args := d.args(); len(args) > 0 && !f.has("("+args[0].text+")") {
			return nil, &Error{d[0].line, fmt.Sprintf("import %s: files of the nodes are not read; there is no snippet of this name", args[0].text)}
		}
	}
	return d, nil
}

func (f *File) has(snippet string) bool {
	return slices.ContainsFunc(f.blocks, func(b block) bool { return b.snippet() && b.keys[0].text == snippet })
}

// ours says which settings of kubernetes there are not: how the API is reached
// is Berth's own, and nodes watch neither all pods nor other clusters.
func ours(d directive) error {
	return d.properties(func(words []token) error {
		about := ""
		switch words[0].text {
		case "endpoint", "tls", "kubeconfig", "apiserver_qps", "apiserver_burst", "apiserver_max_inflight":
			about = "the DNS reaches its own cluster by itself"
		case "labels", "namespace_labels":
			about = "all Services are served"
		case "multicluster":
			about = "Services of other clusters are not served"
		case "zonal":
			about = "there are no names per zone"
		case "pods":
			if len(words) < 2 || words[1].text != "verified" {
				return nil
			}
			about = "pods are not looked up: use insecure or disabled"
		default:
			return nil
		}
		return &Error{words[0].line, fmt.Sprintf("kubernetes: %s is not supported: %s", words[0].text, about)}
	})
}

// at has a listening address without a host be the cluster DNS address: the
// node's others belong to the node and its pods.
func at(n Node, args []string, none string) []string {
	if len(args) == 0 {
		args = []string{none}
	}
	if !strings.HasPrefix(args[0], ":") || len(n.Addresses) == 0 {
		return args
	}
	host := n.Addresses[0].String()
	if n.Addresses[0].Is6() {
		host = "[" + host + "]"
	}
	return append([]string{host + args[0]}, args[1:]...)
}

// upstream has the machine's servers in place of its resolv.conf. Without any,
// there is nobody to ask.
func upstream(d directive, n Node) directive {
	args := words(d.args())
	i := slices.Index(args, "/etc/resolv.conf")
	if i < 1 {
		return d
	}
	if args = slices.Replace(args, i, i+1, n.Upstream...); len(args) == 1 {
		return directive{{Refuse, d[0].line}, {args[0], d[0].line}}
	}
	return d.with("forward", args...)
}

func words(tokens []token) []string {
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = t.text
	}
	return out
}
