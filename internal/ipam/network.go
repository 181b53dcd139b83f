package ipam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/attachment"
	"berth.dev/berth/internal/plan/staticpod"
	cniv1 "berth.dev/berth/spiderpool/cni/v1"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// coordinatorName is the SpiderCoordinator that counts.
const coordinatorName = "default"

// networkInterface is one interface of a pod; the node's own network has no
// definition.
type networkInterface struct {
	attachment.Selection
	network     attachment.Network
	coordinator *spiderpoolv2beta1.CoordinatorSpec
}

func (n *networkInterface) own() bool { return n.Network.Name == "" }

// resolved is what one incarnation of a pod gets.
type resolved struct {
	uid         types.UID
	attachments []attachment.Attachment
	noGateway   map[string]bool
	interfaces  []networkInterface
}

// interfaces are those that a pod asks for, with their networks, eth0 first.
func (r *reconciler) interfaces(ctx context.Context, pod *corev1.Pod) ([]networkInterface, error) {
	selected, err := attachment.Selected(pod.Annotations, pod.Namespace)
	if err != nil {
		return nil, &malformed{err}
	}
	var out []networkInterface
	if len(selected) == 0 || selected[0].Interface != nic {
		out = append(out, networkInterface{Selection: attachment.Selection{Interface: nic}})
	}
	if len(selected) == 0 {
		return out, nil
	}
	coordinator := &spiderpoolv2beta1.SpiderCoordinator{}
	if err := r.env.Cache.Get(ctx, types.NamespacedName{Name: coordinatorName}, coordinator); err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	for _, s := range selected {
		definition := &cniv1.NetworkAttachmentDefinition{}
		err := r.env.Cache.Get(ctx, s.Network, definition)
		if apierrors.IsNotFound(err) {
			return nil, &malformed{fmt.Errorf("interface %s: there is no NetworkAttachmentDefinition %s", s.Interface, s.Network)}
		}
		if err != nil {
			return nil, err
		}
		network, err := attachment.Read(definition.Spec.Config)
		if err == nil && s.Interface == nic && !network.Pooled {
			err = fmt.Errorf("it leaves addresses to others; a pod's first interface has its address from a pool")
		}
		if err != nil {
			return nil, &malformed{fmt.Errorf("interface %s: NetworkAttachmentDefinition %s: %w", s.Interface, s.Network, err)}
		}
		out = append(out, networkInterface{Selection: s, network: network, coordinator: &coordinator.Spec})
	}
	return out, nil
}

// allWants are the addresses of all interfaces.
func (r *reconciler) allWants(ctx context.Context, pod *corev1.Pod, namespace *corev1.Namespace, who address.Asker, nics []networkInterface) ([]address.Want, error) {
	var out []address.Want
	for i := range nics {
		n := &nics[i]
		if !n.own() && !n.network.Pooled {
			if len(n.Addrs) > 0 {
				return nil, &malformed{fmt.Errorf("interface %s: network %s has no addresses of pools, so none can be chosen", n.Interface, n.Network)}
			}
			continue
		}
		wish, err := r.madeOfSubnet(ctx, pod, n.Interface)
		if err == nil && wish == nil {
			wish, err = address.Wish(pod.Annotations, namespace.Annotations, n.Interface, i)
			if err != nil {
				err = &malformed{err}
			}
		}
		if err != nil {
			return nil, err
		}
		wants := r.wants(n, wish, who)
		if n.own() {
			if err := r.apartFromNodes(ctx, wants); err != nil {
				return nil, err
			}
		}
		if len(wants) == 0 {
			return nil, &malformed{fmt.Errorf("annotations %s and %s name no pool of an IP version that this cluster has", address.PoolAnnotation, address.PoolsAnnotation)}
		}
		if !n.own() {
			if err := r.avoidNodes(ctx, wants); err != nil {
				return nil, err
			}
		}
		out = append(out, wants...)
	}
	return out, nil
}

// wants are an address of each family of the cluster for one interface; where
// pools are named, only of the families that they are named for.
func (r *reconciler) wants(n *networkInterface, wish map[address.Family]address.Names, who address.Asker) []address.Want {
	if !n.own() {
		who.Network = n.Network.String()
		if wish == nil {
			wish = pooled(&n.network)
		}
	}
	var out []address.Want
	for i := range r.builtin {
		f := address.Family(*r.builtin[i].Spec.IPVersion)
		asked := addrOf(n.Addrs, f)
		names, named := wish[f]
		switch {
		case wish == nil && asked.IsValid() && !n.own():
			names = address.Names{Names: []string{"*"}} // wherever it is
		case wish == nil && !named:
			names = address.Names{Names: r.defaults[f]}
		case !named && !asked.IsValid():
			continue
		}
		if len(n.Addrs) > 0 && !asked.IsValid() && !named {
			continue // of this family none is asked for
		}
		pools, refused := address.Choose(names, f, r.specs, who)
		if !n.own() {
			pools = slices.DeleteFunc(pools, func(name string) bool {
				routed := name == defaultIPv4 || name == defaultIPv6
				if routed {
					refused = append(refused, name+": it is the cluster's own range, which lies in no network of the machine")
				}
				return routed
			})
		}
		out = append(out, address.Want{NIC: n.Interface, Family: f, Pools: pools, Refused: refused, Addr: asked})
	}
	return out
}

// pooled is what a network's definition says about pools; nil is nothing.
func pooled(n *attachment.Network) map[address.Family]address.Names {
	var out map[address.Family]address.Names
	for f, names := range map[address.Family][]string{address.IPv4: n.IPv4, address.IPv6: n.IPv6} {
		if len(names) == 0 {
			continue
		}
		if out == nil {
			out = map[address.Family]address.Names{}
		}
		out[f] = address.Names{Names: names, Listed: true}
	}
	return out
}

func addrOf(addrs []netip.Addr, f address.Family) netip.Addr {
	for _, a := range addrs {
		if address.FamilyOf(a) == f {
			return a
		}
	}
	return netip.Addr{}
}

// apartFromNodes leaves out pools whose subnet machines are in: pods that are
// routed would take the place of what is there.
func (r *reconciler) apartFromNodes(ctx context.Context, wants []address.Want) error {
	builtin := func(name string) bool { return name == defaultIPv4 || name == defaultIPv6 }
	if !slices.ContainsFunc(wants, func(w address.Want) bool {
		return slices.ContainsFunc(w.Pools, func(name string) bool { return !builtin(name) })
	}) {
		return nil
	}
	nodes := &corev1.NodeList{}
	if err := r.env.Cache.List(ctx, nodes); err != nil {
		return err
	}
	for i := range wants {
		w := &wants[i]
		w.Pools = slices.DeleteFunc(w.Pools, func(name string) bool {
			p, ok := r.ledger.Pool(name)
			if !ok || builtin(name) {
				return false
			}
			for i := range nodes.Items {
				for _, has := range nodes.Items[i].Status.Addresses {
					if a, err := netip.ParseAddr(has.Address); err == nil && p.Subnet.Contains(a) {
						w.Refused = append(w.Refused, fmt.Sprintf("%s: its subnet %s is the network of node %s (%s), which a pod is in by annotation %s only",
							name, p.Subnet, nodes.Items[i].Name, a, attachment.FirstAnnotation))
						return true
					}
				}
			}
			return false
		})
	}
	return nil
}

// avoidNodes leaves the machines' own addresses alone, which a pool in their
// network may hold.
func (r *reconciler) avoidNodes(ctx context.Context, wants []address.Want) error {
	nodes := &corev1.NodeList{}
	if err := r.env.Cache.List(ctx, nodes); err != nil {
		return err
	}
	var own []address.Span
	for i := range nodes.Items {
		for _, a := range nodes.Items[i].Status.Addresses {
			if span, err := address.ParseSpan(a.Address); err == nil {
				own = append(own, span)
			}
		}
	}
	for i := range wants {
		w := &wants[i]
		w.Avoid = own
		if w.Addr.IsValid() && slices.ContainsFunc(own, func(s address.Span) bool { return s.Contains(w.Addr) }) {
			return &malformed{fmt.Errorf("interface %s: address %s is a node's own", w.NIC, w.Addr)}
		}
	}
	return nil
}

// resolve remembers what a pod's interfaces are, for the record of its grant.
func (r *reconciler) resolve(key types.NamespacedName, pod *corev1.Pod, nics []networkInterface) {
	if len(nics) == 1 && nics[0].own() {
		delete(r.networks, key)
		return
	}
	res := resolved{uid: staticpod.Identity(pod), noGateway: map[string]bool{}, interfaces: nics}
	chosen := false
	for i := range nics {
		chosen = chosen || nics[i].DefaultRoute
	}
	for i := range nics {
		n := &nics[i]
		res.noGateway[n.Interface] = address.NoGateway(pod.Annotations, n.Interface, i)
		if n.own() {
			continue
		}
		a := attachment.Attachment{
			Network: n.Network.String(), Interface: n.Interface, DefaultRoute: n.DefaultRoute, Pooled: n.network.Pooled,
			Version: n.network.Version, Plugins: n.network.Plugins, Join: n.network.Join(n.coordinator),
		}
		a.DetectConflict, a.DetectGateway = n.network.Detect(n.coordinator)
		if _, named := pod.Annotations[attachment.DefaultNICAnnotation]; !chosen && !named && n.network.DefaultNIC(n.coordinator) == n.Interface {
			a.DefaultRoute, chosen = true, true
		}
		res.attachments = append(res.attachments, a)
	}
	r.networks[key] = res
}

// keepNetworks has the interfaces of a pod at hand when its record is written
// again by a process that did not grant it.
func (r *reconciler) keepNetworks(ctx context.Context, e *spiderpoolv2beta1.SpiderEndpoint, pod *corev1.Pod) error {
	key, uid := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, staticpod.Identity(pod)
	if r.networks[key].uid == uid || e.Status.Current.UID == string(uid) {
		return nil
	}
	nics, err := r.interfaces(ctx, pod)
	var mistake *malformed
	if errors.As(err, &mistake) {
		return nil // its networks are gone meanwhile; its addresses stay recorded
	}
	if err == nil {
		r.resolve(key, pod, nics)
	}
	return err
}

// describe says in an endpoint what its node needs to make the interfaces. What
// it said of the same pod before stays as it is.
func (r *reconciler) describe(e *spiderpoolv2beta1.SpiderEndpoint, before *spiderpoolv2beta1.PodIPAllocation) {
	ips := e.Status.Current.IPs
	if before.UID == e.Status.Current.UID {
		for i := range ips {
			at := slices.IndexFunc(before.IPs, func(d spiderpoolv2beta1.IPAllocationDetail) bool { return d.NIC == ips[i].NIC })
			if at >= 0 {
				ips[i].MAC, ips[i].CleanGateway = before.IPs[at].MAC, before.IPs[at].CleanGateway
			}
		}
		return
	}
	res, ok := r.networks[types.NamespacedName{Namespace: e.Namespace, Name: e.Name}]
	if !ok || string(res.uid) != e.Status.Current.UID {
		return
	}
	attachments := slices.Clone(res.attachments)
	for i := range attachments {
		a := &attachments[i]
		n := &res.interfaces[slices.IndexFunc(res.interfaces, func(n networkInterface) bool { return n.Interface == a.Interface })]
		var first netip.Addr
		d := attachment.Detail(e, a.Interface)
		if prefixes := attachment.Prefixes(d); len(prefixes) > 0 {
			first = prefixes[0].Addr()
		}
		a.MAC = n.network.MAC(n.MAC, first, n.coordinator)
		if d != nil {
			d.MAC = a.MAC
		}
	}
	for i := range ips {
		ips[i].CleanGateway = ptr.To(res.noGateway[ips[i].NIC])
	}
	if text, err := json.Marshal(attachments); err == nil {
		metav1.SetMetaDataAnnotation(&e.ObjectMeta, attachment.ResolvedAnnotation, string(text))
	}
}
