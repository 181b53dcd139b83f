package spidernetwork

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/autopool"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// app makes the pools of one workload, has them as large as it is, and takes those
// away that nobody asks for any more.
func (c *controller) app(ctx context.Context, key types.NamespacedName) error {
	delete(c.short, key)
	kind, name, _ := strings.Cut(strings.TrimPrefix(key.Name, appKey), "/")
	w, err := c.lookUp(ctx, kind, types.NamespacedName{Namespace: key.Namespace, Name: name})
	if err != nil {
		return err
	}
	pools := &spiderpoolv2beta1.SpiderIPPoolList{}
	if err := c.env.Cache.List(ctx, pools); err != nil {
		return err
	}
	wanted := map[string]bool{}
	if w != nil {
		missing, err := c.poolsOf(ctx, w, pools, wanted)
		var wrong *mistaken
		if errors.As(err, &wrong) {
			missing, err = err.Error(), nil
		}
		if err != nil {
			return err
		}
		if missing != "" {
			c.short[key] = true
			c.env.Events.Event(w.object, corev1.EventTypeWarning, "FailedCreateIPPool", missing)
			if wrong != nil {
				return nil // what cannot be read takes nothing away
			}
		}
	}
	for i := range pools.Items {
		p := &pools.Items[i]
		app, ok := autopool.Owner(p)
		if !ok || app.Kind != kind || app.NamespacedName != (types.NamespacedName{Namespace: key.Namespace, Name: name}) || wanted[p.Name] ||
			p.DeletionTimestamp != nil || p.Labels[autopool.ReclaimLabel] != "true" {
			continue
		}
		if err := c.env.Write.Delete(ctx, p, client.Preconditions{UID: &p.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete IPPool %s: %w", p.Name, err)
		}
	}
	return nil
}

// mistaken is a mistake in what the user wrote.
type mistaken struct{ error }

// poolsOf makes the pools that a workload asks for. What is missing is for the user.
func (c *controller) poolsOf(ctx context.Context, w *workload, pools *spiderpoolv2beta1.SpiderIPPoolList, wanted map[string]bool) (missing string, err error) {
	asks, err := autopool.Asks(w.annotations)
	if err != nil || len(asks) == 0 {
		return "", mistake(err)
	}
	n, err := autopool.Number(w.annotations, w.Replicas)
	if err != nil {
		return "", mistake(err)
	}
	reclaim, err := autopool.Reclaim(w.annotations)
	if err != nil {
		return "", mistake(err)
	}
	for _, a := range asks {
		subnet := &spiderpoolv2beta1.SpiderSubnet{}
		err := c.env.Cache.Get(ctx, types.NamespacedName{Name: a.Subnet}, subnet)
		if apierrors.IsNotFound(err) || err == nil && subnet.DeletionTimestamp != nil {
			missing = fmt.Sprintf("there is no SpiderSubnet %s", a.Subnet)
			continue
		}
		if err != nil {
			return "", err
		}
		if v := ptr.Deref(subnet.Spec.IPVersion, 0); address.Family(v) != a.Family {
			return "", mistake(fmt.Errorf("SpiderSubnet %s is IPv%d, not IPv%d", a.Subnet, v, a.Family))
		}
		name, short, err := c.fit(ctx, w.App, a, subnet, pools, n, reclaim)
		if err != nil {
			return "", err
		}
		wanted[name] = true
		if short > 0 {
			missing = fmt.Sprintf("SpiderSubnet %s lacks %d of the %d addresses of IPPool %s", a.Subnet, short, n, name)
		}
	}
	return missing, nil
}

func mistake(err error) error {
	if err == nil {
		return nil
	}
	return &mistaken{err}
}

// fit makes one pool, or has it of the right size.
func (c *controller) fit(ctx context.Context, app autopool.App, a autopool.Ask, subnet *spiderpoolv2beta1.SpiderSubnet, pools *spiderpoolv2beta1.SpiderIPPoolList, n int, reclaim bool) (name string, short int, err error) {
	free := total(subnet.Spec.Subnet, subnet.Spec.IPs, subnet.Spec.ExcludeIPs)
	reserved, err := c.reserved(ctx)
	if err != nil {
		return "", 0, err
	}
	free = address.Subtract(free, reserved)
	var pool *spiderpoolv2beta1.SpiderIPPool
	for i := range pools.Items {
		p := &pools.Items[i]
		if p.Spec.Subnet == subnet.Spec.Subnet {
			free = address.Subtract(free, total(p.Spec.Subnet, p.Spec.IPs, p.Spec.ExcludeIPs))
		}
		if autopool.Fits(p, app, a) {
			pool = p
		}
	}
	if pool == nil {
		ips, short := autopool.Fit(nil, free, nil, n)
		pool = autopool.New(app, a, subnet, reclaim, ips)
		if err := c.env.Write.Create(ctx, pool); err != nil && !apierrors.IsAlreadyExists(err) {
			return "", 0, fmt.Errorf("make IPPool %s of SpiderSubnet %s: %w", pool.Name, subnet.Name, err)
		}
		return pool.Name, short, nil
	}
	ips, short := autopool.Fit(total(pool.Spec.Subnet, pool.Spec.IPs, pool.Spec.ExcludeIPs), free, held(pool), n)
	want := pool.DeepCopy()
	want.Spec.IPs, want.Spec.ExcludeIPs = autopool.Texts(ips), nil
	maps.Copy(want.Labels, autopool.Labels(app, a, reclaim))
	if slices.Equal(want.Spec.IPs, pool.Spec.IPs) && len(pool.Spec.ExcludeIPs) == 0 && maps.Equal(want.Labels, pool.Labels) {
		return pool.Name, short, nil
	}
	if err := c.env.Write.Update(ctx, want); err != nil {
		return "", 0, fmt.Errorf("change IPPool %s: %w", pool.Name, err)
	}
	return pool.Name, short, nil
}

// held are the addresses that pods hold, as the pool's status says; those since
// then the API server does not let go.
func held(pool *spiderpoolv2beta1.SpiderIPPool) []netip.Addr {
	var all map[string]spiderpoolv2beta1.AllocatedIP
	if json.Unmarshal([]byte(ptr.Deref(pool.Status.AllocatedIPs, "{}")), &all) != nil {
		return nil
	}
	var out []netip.Addr
	for text := range all {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, a)
		}
	}
	return out
}

func (c *controller) reserved(ctx context.Context) ([]address.Span, error) {
	list := &spiderpoolv2beta1.SpiderReservedIPList{}
	if err := c.env.Cache.List(ctx, list); err != nil {
		return nil, err
	}
	var out []address.Span
	for i := range list.Items {
		for _, text := range list.Items[i].Spec.IPs {
			if span, err := address.ParseSpan(text); err == nil && list.Items[i].DeletionTimestamp == nil {
				out = append(out, span)
			}
		}
	}
	return out, nil
}

// again tries those that lacked something.
func (c *controller) again(ctx context.Context) error {
	var problems []error
	for _, key := range slices.Collect(maps.Keys(c.short)) {
		problems = append(problems, c.app(ctx, key))
	}
	return errors.Join(problems...)
}
