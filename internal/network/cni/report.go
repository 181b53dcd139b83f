package cni

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/plan/attachment"
)

// reportTimeout is how long a pod's annotation may take.
const reportTimeout = 30 * time.Second

// networkStatus is one element of the annotation network-status.
type networkStatus struct {
	Name      string   `json:"name"`
	Interface string   `json:"interface"`
	IPs       []string `json:"ips,omitempty"`
	MAC       string   `json:"mac,omitempty"`
	MTU       int      `json:"mtu,omitempty"`
	Default   bool     `json:"default,omitempty"`
	DNS       struct{} `json:"dns"`
	Gateway   []string `json:"gateway,omitempty"`
	Routes    []route  `json:"routes,omitempty"`
}

// status is what a pod's interfaces are, the first one first.
func (v *several) status() ([]networkStatus, error) {
	names := map[string]string{v.req.IfName: "berth"}
	for i := range v.networks {
		names[v.networks[i].Interface] = v.networks[i].Network
	}
	out := make([]networkStatus, 0, len(v.made))
	way := v.inside().Default
	for i := range v.made {
		nic := &v.made[i]
		facts, err := link.Look(int(v.ns.Fd()), nic.Name)
		if err != nil {
			return nil, err
		}
		s := networkStatus{Name: names[nic.Name], Interface: nic.Name, MAC: facts.MAC, MTU: facts.MTU, Default: nic.Name == v.req.IfName}
		for _, p := range facts.Addrs {
			s.IPs = append(s.IPs, p.Addr().String())
			gw := link.GatewayOf(p.Addr(), nic)
			if nic.Name != way || !gw.IsValid() {
				continue
			}
			s.Gateway = append(s.Gateway, gw.String())
			all := "0.0.0.0/0"
			if gw.Is6() {
				all = "::/0"
			}
			s.Routes = append(s.Routes, route{Dst: all, GW: gw.String()})
		}
		for _, hop := range nic.Routes {
			if !nic.Wire {
				s.Routes = append(s.Routes, route{Dst: hop.To.String(), GW: hop.By.String()})
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// report writes the annotation, and that the pod has no trouble any more; a pod's
// start does not wait for it.
func (s *Server) report(ctx context.Context, p pod, status []networkStatus) {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetIndent("", "    ")
	if e.Encode(status) != nil {
		return
	}
	s.mu.Lock()
	delete(s.troubled, types.UID(p.uid))
	s.mu.Unlock()
	s.patch(ctx, p, map[string]any{
		"metadata": map[string]any{"annotations": map[string]string{attachment.StatusAnnotation: strings.TrimSpace(text.String())}},
		"status":   map[string]any{"conditions": []any{map[string]string{"type": attachment.TroubleCondition, "$patch": "delete"}}},
	})
}

// found says what is wrong with a pod's network, if that is what an error is.
func (s *Server) found(ctx context.Context, p pod, err error) {
	var trouble *attachment.Trouble
	if !errors.As(err, &trouble) {
		return
	}
	s.mu.Lock()
	maps.DeleteFunc(s.troubled, func(uid types.UID, _ metav1.Time) bool { return !s.grants.has(uid) })
	since, known := s.troubled[types.UID(p.uid)]
	if !known {
		since = metav1.Now().Rfc3339Copy()
		s.troubled[types.UID(p.uid)] = since
	}
	s.mu.Unlock()
	if s.config.Events != nil {
		about := &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: types.UID(p.uid)}
		s.config.Events.Event(about, corev1.EventTypeWarning, trouble.Reason, trouble.Message)
	}
	s.patch(ctx, p, map[string]any{"metadata": map[string]any{}, "status": map[string]any{"conditions": []any{corev1.PodCondition{
		Type: attachment.TroubleCondition, Status: corev1.ConditionFalse, Reason: trouble.Reason, Message: trouble.Message, LastTransitionTime: since,
	}}}})
}

// patch changes a pod beside what goes on.
func (s *Server) patch(ctx context.Context, p pod, change map[string]any) {
	change["metadata"].(map[string]any)["uid"] = p.uid
	text, err := json.Marshal(change)
	if err != nil || s.api == nil {
		return
	}
	s.wires.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout)
		defer cancel()
		_, err := s.api.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.StrategicMergePatchType, text, metav1.PatchOptions{}, "status")
		if err != nil {
			s.config.Log.Warn("a pod's network cannot be reported", "pod", p.String(), "error", err)
		}
	})
}
