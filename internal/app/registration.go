package app

import (
	"context"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"

	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/node/register"
	"berth.dev/berth/internal/node/volume"
	planshutdown "berth.dev/berth/internal/plan/shutdown"
)

// runRegistration puts this node into the API. It is Ready when the runtime,
// the network and the agent are.
func (a *agent) runRegistration(ctx context.Context, ready func()) error {
	var err error
	if a.client, err = a.server.client("system:node:"+a.nodeName, "system:nodes"); err != nil {
		return err
	}
	var labeler kubernetes.Interface // a node that joined has no role
	if a.joined == nil {
		if labeler, err = a.server.client("system:berth:registration"); err != nil {
			return err
		}
	}
	event, stopEvents := a.nodeEvents(ctx)
	a.nodeEvent = event
	defer stopEvents()
	reserved, eviction, err := a.cfg.reservations()
	if err != nil {
		return err
	}
	a.reserved = reserved.Memory().Value()
	if a.evicting, err = a.cfg.evicting(eviction); err != nil {
		return err
	}
	var addresses []string
	for _, ip := range a.nodeIPs {
		addresses = append(addresses, ip.String())
	}
	// What volumes may be in use the disk tells, also before the agent runs.
	a.notes = volume.OpenNotes(a.dir.Kubelet())
	a.registration = register.New(register.Config{
		Name: a.nodeName, Client: a.client, Labeler: labeler, ControlPlane: a.joined == nil,
		Addresses: addresses, Port: int32(a.cfg.AgentPort), VolumesDir: a.dir.Volumes(), DataDir: a.dir.Path(),
		Version: Version(), MaxPods: int64(a.cfg.MaxPods), Reserved: reserved, Eviction: eviction,
		Pressure: a.pressure, Ready: a.ready, Runtime: a.runtimeAbout, Images: a.images, Event: event, Log: a.log,
		VolumesInUse: a.notes.InUse, Renewals: a.renewal, Conditions: a.fenceCondition,
	})
	a.told.Store(a.registration)
	if a.joined != nil {
		a.joined.node.Store(a.registration)
	}
	ready()
	return a.registration.Run(ctx)
}

// pressure are the conditions that the node is under, once somebody has looked.
func (a *agent) pressure() (under []corev1.NodeConditionType, known bool) {
	if e := a.evictor.Load(); e != nil {
		return e.Pressure()
	}
	return nil, false
}

// closing is true while the machine goes down.
func (a *agent) closing() bool {
	w := a.ending.Load()
	return w != nil && w.Closing()
}

// runtimeAbout is what is known of the runtime by now.
func (a *agent) runtimeAbout() register.Runtime {
	if r := a.about.Load(); r != nil {
		return *r
	}
	return register.Runtime{}
}

// nodeEvents records events about this node, as the kubelet does.
func (a *agent) nodeEvents(ctx context.Context) (event func(kind, reason, message string), stop func()) {
	recorder, stop := a.recorder(ctx)
	about := &corev1.ObjectReference{Kind: "Node", Name: a.nodeName, UID: types.UID(a.nodeName)}
	return func(kind, reason, message string) { recorder.Event(about, kind, reason, message) }, stop
}

// recorder records events as this node.
func (a *agent) recorder(ctx context.Context) (events record.EventRecorder, stop func()) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: a.client.CoreV1().Events("")})
	return broadcaster.NewRecorder(api.Scheme, corev1.EventSource{Component: "kubelet", Host: a.nodeName}), broadcaster.Shutdown
}

// ready is the node's Ready condition.
func (a *agent) ready() (ok bool, reason, message string) {
	switch {
	case !a.runtimeUp.Load():
		return false, "KubeletNotReady", "container runtime is not ready yet"
	case !a.networkUp.Load():
		return false, "KubeletNotReady", "container runtime network not ready: the pod network is being set up"
	case !a.agentUp.Load():
		return false, "KubeletNotReady", "the node agent is reading its pods"
	}
	if a.closing() {
		return false, "KubeletNotReady", planshutdown.Status
	}
	return true, "KubeletReady", "kubelet is posting ready status"
}

// up notes that a part is ready and tells the API at once.
func (a *agent) up(part *atomic.Bool) {
	part.Store(true)
	a.registration.Trigger()
	if ok, _, _ := a.ready(); ok {
		a.once.Do(func() { close(a.nodeReady) })
	}
}
