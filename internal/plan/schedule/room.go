package schedule

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amounts are resources as numbers: processors in thousandths, the rest whole.
type amounts struct {
	cpu, mem, disk, pods int64
	other                map[corev1.ResourceName]int64 // nil in most cases; never changed
}

func amountsOf(list corev1.ResourceList) amounts {
	a := amounts{}
	for name, q := range list {
		switch name {
		case corev1.ResourceCPU:
			a.cpu = q.MilliValue()
		case corev1.ResourceMemory:
			a.mem = q.Value()
		case corev1.ResourceEphemeralStorage:
			a.disk = q.Value()
		case corev1.ResourcePods:
			a.pods = q.Value()
		default:
			a.other = with(a.other, name, &q)
		}
	}
	return a
}

func with(m map[corev1.ResourceName]int64, name corev1.ResourceName, q *resource.Quantity) map[corev1.ResourceName]int64 {
	if m == nil {
		m = map[corev1.ResourceName]int64{}
	}
	m[name] = q.Value()
	return m
}

// room is a node with what is taken of it.
type room struct {
	index int32
	name  string
	node  *corev1.Node // nil when only its pods tell of it
	have  amounts
	used  amounts // its map is the room's own
	// What pods that ask for nothing are taken to use, for scores.
	scoreCPU, scoreMem int64
	pods               []*placed
	awaited            []*placed // pods that are nominated to it
	ports              []port
	images             map[string]int64
}

func (r *room) setNode(node *corev1.Node) {
	r.node = node
	r.have = amountsOf(node.Status.Allocatable)
}

func (r *room) add(p *placed) {
	p.slot = len(r.pods)
	r.pods = append(r.pods, p)
	r.weigh(&p.weight, 1)
}

func (r *room) drop(p *placed) {
	last := r.pods[len(r.pods)-1]
	r.pods[p.slot], last.slot = last, p.slot
	r.pods[len(r.pods)-1] = nil
	r.pods = r.pods[:len(r.pods)-1]
	r.weigh(&p.weight, -1)
}

// weigh takes what a pod needs, or gives it back with a sign of -1.
func (r *room) weigh(w *Weight, sign int64) {
	r.used.cpu += sign * w.want.cpu
	r.used.mem += sign * w.want.mem
	r.used.disk += sign * w.want.disk
	r.used.pods += sign
	r.scoreCPU += sign * w.cpu
	r.scoreMem += sign * w.mem
	for name, n := range w.want.other {
		if r.used.other == nil {
			r.used.other = map[corev1.ResourceName]int64{}
		}
		r.used.other[name] += sign * n
	}
	if len(w.ports) == 0 {
		return
	}
	if sign > 0 {
		r.ports = append(r.ports, w.ports...)
		return
	}
	for _, gone := range w.ports {
		for i, p := range r.ports {
			if p == gone {
				r.ports = append(r.ports[:i:i], r.ports[i+1:]...)
				break
			}
		}
	}
}
