package ipam

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/attachment"
	"berth.dev/berth/internal/plan/autopool"
	cniv1 "berth.dev/berth/spiderpool/cni/v1"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func definition(namespace, name, config string) *cniv1.NetworkAttachmentDefinition {
	return &cniv1.NetworkAttachmentDefinition{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: cniv1.NetworkAttachmentDefinitionSpec{Config: config},
	}
}

const macvlan = `{"cniVersion":"0.3.1","name":"lan","plugins":[{"type":"macvlan","master":"ens192","mode":"bridge","ipam":{"type":"spiderpool","default_ipv4_ippool":["lan"]}},{"type":"coordinator"}]}`

func TestEachInterfaceHasAnAddressThatSticks(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	lan := pool("lan", "10.6.0.0/16", "10.6.168.101-10.6.168.110")
	lan.Spec.Gateway = ptr.To("10.6.0.1")
	w.add(lan)
	w.add(pool("storage", "10.7.0.0/16", "10.7.0.5-10.7.0.9"))
	w.add(definition("kube-system", "lan", macvlan))
	w.add(definition("default", "storage", `{"type":"macvlan","master":"eth1","ipam":{"type":"spiderpool"}}`))
	w.add(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.6.168.101"}}}})
	web := set("web", 2)
	w.add(web)
	make := func(name string) {
		w.add(annotated(podOf(web, name), attachment.FirstAnnotation, "lan", attachment.FurtherAnnotation, "storage@db0",
			address.PoolsAnnotation, `[{"interface":"eth0","ipv4":["lan"]},{"interface":"db0","ipv4":["storage"],"cleangateway":true}]`))
		w.settle()
	}
	make("web-0")
	make("web-1")
	before := w.endpoint("web-0").Status.Current.IPs
	if len(before) != 2 || before[0].NIC != "eth0" || before[0].IPv4 != "10.6.168.102/16" || before[0].IPv4Gateway != "10.6.0.1" ||
		before[0].MAC != "0a:58:0a:06:a8:66" || before[1].NIC != "db0" || before[1].IPv4 != "10.7.0.5/16" || !*before[1].CleanGateway {
		t.Fatalf("%+v", before)
	}
	attached, err := attachment.Resolved(w.endpoint("web-0").Annotations)
	if err != nil || len(attached) != 2 || attached[0].Network != "kube-system/lan" || attached[0].Join == nil || attached[1].Join != nil || attached[1].Interface != "db0" {
		t.Errorf("%v %+v", err, attached)
	}
	w.remove(podOf(nil, "web-0"))
	w.remove(podOf(nil, "web-1"))
	w.settle()
	w.start() // a restart meanwhile
	w.settle()
	make("web-1")
	make("web-0")
	after := w.endpoint("web-0").Status.Current.IPs
	if after[0].IPv4 != before[0].IPv4 || after[1].IPv4 != before[1].IPv4 || after[0].MAC != before[0].MAC {
		t.Errorf("%+v is not %+v", after, before)
	}
	if n := w.writes["create SpiderEndpoint"]; n > 2 {
		t.Errorf("%d endpoints were made", n)
	}
}

func TestNetworksThatCannotBeJoinedAreTold(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	w.add(pool("lan", "10.6.0.0/16", "10.6.168.101-10.6.168.110"))
	w.add(definition("default", "lan", macvlan))
	w.add(definition("default", "bare", `{"type":"macvlan","master":"ens192","ipam":{"type":"spiderpool"}}`))
	w.add(definition("default", "vf", `{"type":"sriov","ipam":{"type":"spiderpool"}}`))
	w.add(definition("default", "leased", `{"type":"bridge","ipam":{"type":"host-local"}}`))
	for name, networks := range map[string]string{
		"unknown": "nowhere", "broken": `[{"name":`, "card": "vf", "outside": `[{"name":"lan","ips":["10.9.0.1/16"]}]`,
		"routed": "bare", "chosen": `[{"name":"leased","ips":["10.9.0.1"]}]`, "twice": "lan@a,lan@a", "long": "lan@averyveryverylong",
	} {
		w.add(annotated(podOf(nil, name), attachment.FurtherAnnotation, networks))
	}
	w.add(annotated(podOf(nil, "first"), attachment.FirstAnnotation, "default/leased"))
	w.add(annotated(podOf(nil, "two"), attachment.FirstAnnotation, "default/lan,default/lan"))
	w.add(annotated(podOf(nil, "nic"), attachment.DefaultNICAnnotation, "net7"))
	w.settle()
	told := strings.Join(w.events, "\n")
	for _, want := range []string{
		"unknown FailedAllocateIP: interface net1: there is no NetworkAttachmentDefinition default/nowhere",
		"broken FailedAllocateIP: annotation k8s.v1.cni.cncf.io/networks: wrong input: unexpected EOF",
		"card FailedAllocateIP: interface net1: NetworkAttachmentDefinition default/vf: plugin sriov: virtual functions of network cards are not handed out here",
		"outside FailedAllocateIP: address 10.9.0.1 lies in none of the pools that the pod may use (lan)",
		"routed FailedAllocateIP: no IPPool available for IPv4; not to be used: IPPool default-ipv4: it is the cluster's own range",
		"chosen FailedAllocateIP: interface net1: network default/leased has no addresses of pools",
		"twice FailedAllocateIP: annotation k8s.v1.cni.cncf.io/networks: wrong input: interface a is there twice",
		`long FailedAllocateIP: annotation k8s.v1.cni.cncf.io/networks: wrong input: "averyveryverylong" does not name an interface`,
		"first FailedAllocateIP: interface eth0: NetworkAttachmentDefinition default/leased: it leaves addresses to others",
		"two FailedAllocateIP: annotation v1.multus-cni.io/default-network: wrong input: it names 2 networks, not one",
		"nic FailedAllocateIP: annotation ipam.spidernet.io/default-route-nic: wrong input: the pod has no interface net7",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not in\n%s", want, told)
		}
	}
	if w.ip("unknown") != "" || w.ip("twice") != "" {
		t.Error("half of a pod's addresses were granted")
	}
	w.add(definition("default", "nowhere", macvlan)) // late is not never
	w.settle()
	if ips := w.endpoint("unknown").Status.Current.IPs; len(ips) != 2 || ips[1].NIC != "net1" || ips[1].IPv4 != "10.6.168.101/16" {
		t.Errorf("%+v", ips)
	}
	// Its record says how, and goes on saying so when it is written again.
	w.edit(w.live[keyOf(podOf(nil, "unknown"))], func(o client.Object) { o.SetAnnotations(nil) })
	w.remove(&spiderpoolv2beta1.SpiderEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "twice"}})
	w.settle()
	if attached, err := attachment.Resolved(w.endpoint("unknown").Annotations); err != nil || len(attached) != 1 || attached[0].MAC != "0a:58:0a:06:a8:65" {
		t.Errorf("%v %+v", err, attached)
	}
}

// A pool in the machines' own network is for pods that are in that network.
func TestPoolOfTheMachinesNetwork(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: "one"}, {Type: corev1.NodeInternalIP, Address: "10.6.0.2"},
	}}}
	w.add(node)
	w.add(pool("lan", "10.6.0.0/16", "10.6.168.101-10.6.168.110"))
	w.add(definition("default", "lan", macvlan))
	w.add(annotated(podOf(nil, "routed"), address.PoolAnnotation, `{"ipv4":["lan"]}`))
	there := annotated(podOf(nil, "there"), address.PoolAnnotation, `{"ipv4":["lan"]}`)
	w.add(annotated(there, attachment.FirstAnnotation, "default/lan"))
	w.settle()
	want := "routed FailedAllocateIP: no IPPool available for IPv4; not to be used: IPPool lan: its subnet 10.6.0.0/16 is the network of node one (10.6.0.2), which a pod is in by annotation v1.multus-cni.io/default-network only"
	if told := strings.Join(w.events, "\n"); !strings.Contains(told, want) {
		t.Errorf("%q is not in\n%s", want, told)
	}
	if w.ip("routed") != "" || w.ip("there") != "10.6.168.101/16" {
		t.Errorf("routed has %q, the other %q", w.ip("routed"), w.ip("there"))
	}
	// The machine goes elsewhere: then it may be routed.
	w.edit(node, func(o client.Object) { o.(*corev1.Node).Status.Addresses = nil })
	w.settle()
	if w.ip("routed") != "10.6.168.102/16" {
		t.Errorf("routed has %q", w.ip("routed"))
	}
}

// A pod whose workload has pools made of a subnet waits for these, and no other
// pod has their addresses.
func TestPoolMadeOfASubnet(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	set := set("web", 1)
	w.add(set)
	pod := annotated(podOf(set, "web-0"), address.SubnetAnnotation, `{"ipv4":["s"]}`)
	w.add(pod)
	w.add(annotated(podOf(nil, "bare"), address.SubnetAnnotation, `{"ipv4":["s"]}`))
	w.add(annotated(podOf(nil, "broken"), address.SubnetAnnotation, `s`))
	w.settle()
	app := autopool.App{GroupVersionKind: appsv1.SchemeGroupVersion.WithKind("StatefulSet"), NamespacedName: client.ObjectKeyFromObject(set), UID: set.UID}
	ask := autopool.Ask{Interface: nic, Family: address.IPv4, Subnet: "s"}
	span, _ := address.ParseSpan("10.9.0.1-10.9.0.2")
	told := strings.Join(w.events, "\n")
	for _, want := range []string{
		"web-0 FailedAllocateIP: no IPPool available for IPv4; not to be used: IPPool " + autopool.Name(app, ask) + ": there is no such pool",
		"bare FailedAllocateIP: annotation ipam.spidernet.io/subnet: pools are made for Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs; the pod belongs to none",
		"broken FailedAllocateIP: annotation ipam.spidernet.io/subnet: wrong input: invalid character 's'",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not in\n%s", want, told)
		}
	}
	made := autopool.New(app, ask, &spiderpoolv2beta1.SpiderSubnet{Spec: spiderpoolv2beta1.SubnetSpec{Subnet: "10.9.0.0/16"}}, true, []address.Span{span})
	w.add(made)
	w.add(annotated(podOf(nil, "thief"), address.PoolAnnotation, `{"ipv4":["`+made.Name+`"]}`))
	w.settle()
	if w.ip("web-0") != "10.9.0.1/16" || w.ip("thief") != "" {
		t.Errorf("web-0 has %q, the thief %q", w.ip("web-0"), w.ip("thief"))
	}
	if told := strings.Join(w.events, "\n"); !strings.Contains(told, "thief FailedAllocateIP: no IPPool available for IPv4; not to be used: IPPool "+made.Name+": its podAffinity does not match the pod") {
		t.Error(told)
	}
}
