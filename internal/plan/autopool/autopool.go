// Package autopool says which pools are made of SpiderSubnets, each for one
// interface of one workload's pods.
package autopool

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// The annotations of a workload's pods.
const (
	NumberAnnotation  = "ipam.spidernet.io/ippool-ip-number"
	ReclaimAnnotation = "ipam.spidernet.io/ippool-reclaim"
)

// The labels of such a pool, and of a selector that stands for the pods of one
// workload.
const (
	ownerPrefix    = "ipam.spidernet.io/owner-application-"
	SubnetLabel    = "ipam.spidernet.io/owner-spider-subnet"
	InterfaceLabel = "ipam.spidernet.io/interface"
	VersionLabel   = "ipam.spidernet.io/ip-version"
	ReclaimLabel   = ReclaimAnnotation
	AppPrefix      = "ipam.spidernet.io/app-"
)

// defaultSpare is how many addresses a pool has beyond the workload's replicas.
const defaultSpare = 1

// App is a workload.
type App struct {
	schema.GroupVersionKind
	types.NamespacedName
	UID      types.UID
	Replicas int
}

// Ask is a pool that is wanted: Spare addresses more than there are replicas, or
// Fixed in all.
type Ask struct {
	Interface string
	Family    address.Family
	Subnet    string
}

// Asks reads the annotations of a workload's pods; none is no error.
func Asks(annotations map[string]string) ([]Ask, error) {
	type named struct {
		Interface  string
		IPv4, IPv6 []string
	}
	var all []named
	key := address.SubnetsAnnotation
	text, ok := annotations[key]
	if ok {
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return nil, wrong(key, err)
		}
	} else {
		key = address.SubnetAnnotation
		if text, ok = annotations[key]; !ok {
			return nil, nil
		}
		all = make([]named, 1)
		if err := json.Unmarshal([]byte(text), &all[0]); err != nil {
			return nil, wrong(key, err)
		}
	}
	var out []Ask
	seen := map[string]bool{}
	for i, n := range all {
		if n.Interface == "" && key == address.SubnetAnnotation {
			n.Interface = "eth0"
		}
		if n.Interface == "" || seen[n.Interface] {
			return nil, wrong(key, fmt.Errorf("element %d needs an interface of its own", i))
		}
		seen[n.Interface] = true
		if len(n.IPv4)+len(n.IPv6) == 0 {
			return nil, wrong(key, fmt.Errorf("neither ipv4 nor ipv6 names a subnet for interface %s", n.Interface))
		}
		for _, f := range []address.Family{address.IPv4, address.IPv6} {
			names := n.IPv4
			if f == address.IPv6 {
				names = n.IPv6
			}
			if len(names) > 1 {
				return nil, wrong(key, fmt.Errorf("interface %s: one subnet of each IP version, not %v", n.Interface, names))
			}
			if len(names) == 1 {
				out = append(out, Ask{n.Interface, f, names[0]})
			}
		}
	}
	if len(out) == 0 {
		return nil, wrong(key, fmt.Errorf("it names no subnet"))
	}
	return out, nil
}

func wrong(annotation string, err error) error {
	return fmt.Errorf("annotation %s: wrong input: %w", annotation, err)
}

// Number is how many addresses a workload's pools have.
func Number(annotations map[string]string, replicas int) (int, error) {
	text, ok := annotations[NumberAnnotation]
	if !ok {
		return replicas + defaultSpare, nil
	}
	digits, spare := strings.CutPrefix(text, "+")
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return 0, wrong(NumberAnnotation, fmt.Errorf("%q is neither a number nor one after a plus sign", text))
	}
	if spare {
		return replicas + int(n), nil
	}
	return int(n), nil
}

// Reclaim says whether a workload's pools go with it.
func Reclaim(annotations map[string]string) (bool, error) {
	text, ok := annotations[ReclaimAnnotation]
	if !ok {
		return true, nil
	}
	yes, err := strconv.ParseBool(text)
	if err != nil {
		return true, wrong(ReclaimAnnotation, fmt.Errorf("%q is neither true nor false", text))
	}
	return yes, nil
}

// Name is what a workload's pool is called.
func Name(app App, a Ask) string {
	uid := string(app.UID)
	uid = uid[strings.LastIndex(uid, "-")+1:]
	return fmt.Sprintf("auto%d-%s-%s-%s", a.Family, strings.ToLower(app.Name), strings.ToLower(a.Interface), uid[:min(5, len(uid))])
}

// Mine selects the pools of a workload, whatever its UID.
func Mine(app App) map[string]string {
	gv := strings.ReplaceAll(app.GroupVersion().String(), "/", "_")
	return map[string]string{
		ownerPrefix + "gv": gv, ownerPrefix + "kind": app.Kind, ownerPrefix + "namespace": app.Namespace, ownerPrefix + "name": app.Name,
	}
}

const uidLabel = ownerPrefix + "uid"

// Owner is the workload that a pool was made for, as far as its labels say.
func Owner(pool *spiderpoolv2beta1.SpiderIPPool) (App, bool) {
	l := pool.Labels
	gv, err := schema.ParseGroupVersion(strings.ReplaceAll(l[ownerPrefix+"gv"], "_", "/"))
	app := App{UID: types.UID(l[uidLabel]), NamespacedName: types.NamespacedName{Namespace: l[ownerPrefix+"namespace"], Name: l[ownerPrefix+"name"]}}
	app.GroupVersionKind = gv.WithKind(l[ownerPrefix+"kind"])
	return app, err == nil && app.UID != "" && app.Kind != "" && app.Name != ""
}

// Application is how a subnet's status names a workload.
func (a App) Application() string {
	return fmt.Sprintf("%s:%s:%s:%s", strings.ReplaceAll(a.GroupVersion().String(), "/", "_"), a.Kind, a.Namespace, a.Name)
}

// Fits reports whether a pool was made for a workload's ask; one that outlived an
// earlier workload of the same name is its successor's.
func Fits(pool *spiderpoolv2beta1.SpiderIPPool, app App, a Ask) bool {
	for k, v := range Mine(app) {
		if pool.Labels[k] != v {
			return false
		}
	}
	return pool.DeletionTimestamp == nil && pool.Labels[SubnetLabel] == a.Subnet && pool.Labels[InterfaceLabel] == a.Interface &&
		pool.Labels[VersionLabel] == version(a.Family) && (pool.Labels[uidLabel] == string(app.UID) || pool.Labels[ReclaimLabel] != "true")
}

func version(f address.Family) string { return fmt.Sprintf("IPv%d", f) }

// Labels are those of a workload's pool.
func Labels(app App, a Ask, reclaim bool) map[string]string {
	l := Mine(app)
	l[uidLabel], l[SubnetLabel], l[InterfaceLabel], l[VersionLabel] = string(app.UID), a.Subnet, a.Interface, version(a.Family)
	l[ReclaimLabel] = strconv.FormatBool(reclaim)
	return l
}

// PodLabels are what the pods of a workload are known by to a pool's podAffinity.
func PodLabels(app App) map[string]string {
	return map[string]string{
		AppPrefix + "api-group": app.Group, AppPrefix + "api-version": app.Version, AppPrefix + "kind": app.Kind,
		AppPrefix + "namespace": app.Namespace, AppPrefix + "name": app.Name,
	}
}

// New is a workload's pool.
func New(app App, a Ask, subnet *spiderpoolv2beta1.SpiderSubnet, reclaim bool, ips []address.Span) *spiderpoolv2beta1.SpiderIPPool {
	return &spiderpoolv2beta1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: Name(app, a), Labels: Labels(app, a, reclaim)},
		Spec: spiderpoolv2beta1.IPPoolSpec{
			IPVersion: ptr.To(int64(a.Family)), Subnet: subnet.Spec.Subnet, IPs: Texts(ips),
			PodAffinity: &metav1.LabelSelector{MatchLabels: PodLabels(app)},
		},
	}
}

// Texts are spans as a pool names them.
func Texts(spans []address.Span) []string {
	out := []string{}
	for _, s := range address.Merge(spans) {
		out = append(out, s.String())
	}
	return out
}

// Fit makes a pool n addresses large: it grows by the lowest that are free, and
// loses the highest that nobody holds. short is how many are missing.
func Fit(has, free []address.Span, held []netip.Addr, n int) (out []address.Span, short int) {
	out = address.Merge(has)
	missing := int64(n) - address.Count(out)
	for _, s := range address.Merge(free) {
		for a := s.First; missing > 0 && !s.Last.Less(a); a = a.Next() {
			out = append(out, address.Span{First: a, Last: a})
			missing--
			if a == s.Last {
				break
			}
		}
	}
	if missing >= 0 {
		return address.Merge(out), int(missing)
	}
	var gone []address.Span
	for i := len(out) - 1; i >= 0 && missing < 0; i-- {
		for a := out[i].Last; missing < 0 && !a.Less(out[i].First); a = a.Prev() {
			if !slices.Contains(held, a) {
				gone = append(gone, address.Span{First: a, Last: a})
				missing++
			}
			if a == out[i].First {
				break
			}
		}
	}
	return address.Subtract(out, gone), 0
}

// Kinds are the workloads that pools are made for.
var Kinds = []string{"Deployments", "ReplicaSets", "StatefulSets", "DaemonSets", "Jobs", "CronJobs"}

// Serves reports whether pools are made for a workload.
func Serves(app App) bool {
	return (app.Group == "apps" || app.Group == "batch") && slices.Contains(Kinds, app.Kind+"s")
}

// ByApp reports whether a pool is for the pods of certain workloads.
func ByApp(pool *spiderpoolv2beta1.SpiderIPPool) bool {
	s := pool.Spec.PodAffinity
	if s == nil {
		return false
	}
	for k := range s.MatchLabels {
		if strings.HasPrefix(k, AppPrefix) {
			return true
		}
	}
	return slices.ContainsFunc(s.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool { return strings.HasPrefix(r.Key, AppPrefix) })
}
