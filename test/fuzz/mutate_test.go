package fuzz

import (
	"math"
	"math/rand"
	"slices"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// odd are values that some rule may not expect.
func odd(r *rand.Rand) any {
	values := []any{
		nil, true, false, "",
		[]any{},
		map[string]any{},
		[]any{nil},
		map[string]any{"": nil},
		int64(0), int64(-1), int64(1), int64(65536), int64(math.MaxInt32) + 1, int64(math.MinInt64), int64(math.MaxInt64), 1e300, -0.5,
		[]any{map[string]any{}, map[string]any{}},
		map[string]any{"a": "b"},
		[]any{"a", "a"},
		[]any{[]any{}},
	}
	if r.Intn(2) == 0 {
		return words[r.Intn(len(words))]
	}
	return values[r.Intn(len(values))]
}

// words are strings at the edge of some format.
var words = []string{
	"", " ", "a", "A", "a.b", "-", "a-", ".", "..", "../..", "/", "//", "/a/../b", "a/b", "a/b/c", "a:b", "*", "*.a", "a*", "$(A)", "$$(A", "\x00", "a\nb", "é", "\u2028", "\ufffd",
	"0", "1", "-1", "1.5", "1Gi", "100m", "1e3", "0.1n", "-1Gi", "1e-9", "1e-2147483647", "1e2147483646", "9223372036854775807", "99999999999999999999999", "50%", "101%", "-5%", "%",
	"10.0.0.1", "010.0.0.1", "10.0.0.0/8", "10.0.0.1/8", "::1", "::ffff:10.0.0.1", "fd00::/8", "fe80::1%eth0", "0.0.0.0", "255.255.255.255", "999.1.1.1", "10.0.0.1-10.0.0.9", "example.com", "example.com.", "https://u:p@h/x?y#z", "http://[::1",
	"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678901Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "yesterday",
	"default", "kube-system", "web-0", "cpu", "requests.cpu", "limits.memory", "hugepages-2Mi", "hugepages-1e-2147483647", "pods", "count/pods", "example.com/x", "kubernetes.io/x", "metadata.name", "metadata.labels['a']", "metadata.annotations['", "status.podIP", "spec.nodeName",
	"Always", "Never", "OnFailure", "None", "Local", "Cluster", "Delete", "Retain", "RollingUpdate", "OnDelete", "Recreate", "True", "Exists", "In", "NotIn", "DoesNotExist", "Gt", "Equal", "NoSchedule", "NoExecute", "TCP", "UDP", "SCTP", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "IPv4", "IPv6", "FQDN", "Opaque", "kubernetes.io/tls", "kubernetes.io/dockerconfigjson", "Utilization", "AverageValue", "Pods", "Resource",
	"object.x", "true", "1/0", "'a' + 1", "[1,2].map(x, x)", "* * * * *", "@every 1s", "TZ=UTC * * * * *", "61 * * * *",
	strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 253), strings.Repeat("a", 254), strings.Repeat("a.", 127), strings.Repeat("é", 100),
}

// mutate changes a few places of m.
func mutate(r *rand.Rand, m manifest) manifest {
	m = runtime.DeepCopyJSON(m)
	for range 1 + r.Intn(4) {
		holders := places(m)
		change(r, holders[r.Intn(len(holders))])
	}
	return m
}

// places are all maps and lists below v that hold something, in a fixed order.
func places(v any) []any {
	var out []any
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case manifest:
			walk(map[string]any(v))
		case map[string]any:
			out = append(out, v)
			for _, key := range keys(v) {
				walk(v[key])
			}
		case []any:
			if len(v) > 0 {
				out = append(out, v)
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return out
}

func keys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for key := range m {
		out = append(out, key)
	}
	sort.Strings(out)
	return out
}

func change(r *rand.Rand, holder any) {
	switch h := holder.(type) {
	case map[string]any:
		names := slices.DeleteFunc(keys(h), func(s string) bool { return s == "apiVersion" || s == "kind" })
		if len(names) == 0 || r.Intn(12) == 0 {
			h[words[r.Intn(len(words))]] = odd(r)
			return
		}
		name := names[r.Intn(len(names))]
		switch r.Intn(4) {
		case 0:
			delete(h, name)
		case 1:
			h[name] = runtime.DeepCopyJSONValue(h[names[r.Intn(len(names))]])
		default:
			h[name] = like(r, h[name])
		}
	case []any:
		i := r.Intn(len(h))
		if r.Intn(2) == 0 {
			h[i] = runtime.DeepCopyJSONValue(h[r.Intn(len(h))])
		} else {
			h[i] = like(r, h[i])
		}
	}
}

// like is mostly an odd value of v's type: those of others are refused early.
func like(r *rand.Rand, v any) any {
	if r.Intn(6) == 0 {
		return odd(r)
	}
	switch v := v.(type) {
	case string:
		return words[r.Intn(len(words))]
	case int64, float64:
		return []any{int64(0), int64(-1), int64(1), int64(2), int64(80), int64(65536), int64(math.MaxInt32), int64(math.MinInt32), int64(math.MaxInt64)}[r.Intn(9)]
	case bool:
		return !v
	case []any:
		switch {
		case len(v) == 0 || r.Intn(3) == 0:
			return []any{}
		case r.Intn(2) == 0:
			return append(slices.Clone(v), runtime.DeepCopyJSONValue(v[0]))
		}
		return v[:len(v)-1]
	}
	return odd(r)
}
