package statefulset

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// Pull is how far a pod's node is with the images of the update revision.
type Pull int

// Pulled: they are there, or there is nothing to pull. Unasked: nobody has told
// the node. Pulling: it has not answered. PullFailed: it cannot get one of them.
const (
	Pulled Pull = iota
	Unasked
	Pulling
	PullFailed
)

// pullPatience is how long a rollout waits for a node that does not answer: it
// may be older than the question.
const pullPatience = 5 * time.Minute

// observePull reads how far the node of a pod that is to be updated is.
func (p *Pod) observePull(f Facts, s State, pod *corev1.Pod) {
	if !s.PrePull || !p.old(s) || pod.Spec.NodeName == "" {
		return
	}
	to := f.Rendered(s.Update, p.Ordinal)
	if to == nil {
		return
	}
	images := missing(&pod.Spec, &to.Spec)
	if len(images) == 0 {
		return
	}
	p.Images, p.Pull = options.PullAnswer(images), Unasked
	asked, ok := options.PullAsked(pod)
	if !ok || options.PullAnswer(asked.Images) != p.Images {
		return
	}
	p.Pull, p.PullLeft = Pulling, max(asked.Since.Add(pullPatience).Sub(f.Now), 0)
	switch c := condition(pod, options.ImagesPulled); {
	case c == nil:
	case c.Status == corev1.ConditionTrue && c.Message == p.Images:
		p.Pull = Pulled
	case c.Status == corev1.ConditionFalse:
		p.Pull = PullFailed
		if p.Detail == "" {
			p.Detail = c.Message
		}
	}
}

// missing are the images of one spec that another does not use.
func missing(from, to *corev1.PodSpec) []string {
	have := images(from)
	return slices.DeleteFunc(images(to), func(image string) bool { return slices.Contains(have, image) })
}

func images(spec *corev1.PodSpec) []string {
	var all []string
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if !slices.Contains(all, list[i].Image) {
				all = append(all, list[i].Image)
			}
		}
	}
	return all
}

// pulled reports whether the pod may be taken as far as images go, and asks its
// node for them if nobody has. A pod that does not work gains nothing by waiting.
func (p *Plan) pulled(s State, pod Pod) bool {
	if !s.PrePull || pod.Health < Ready || pod.Pull == Pulled || pod.Pull == Pulling && pod.PullLeft == 0 {
		return true
	}
	p.ask(pod)
	h := Hold{Ordinal: pod.Ordinal, Why: AwaitImages, Images: pod.Images, Left: pod.PullLeft}
	if pod.Pull == PullFailed {
		h.Detail, h.Left = pod.Detail, 0
	}
	p.Holds = append(p.Holds, h)
	p.Again = sooner(p.Again, h.Left)
	return false
}

// ask tells a pod's node which images come next.
func (p *Plan) ask(pod Pod) {
	if pod.Pull == Unasked {
		p.do(Action{Verb: PullImages, Ordinal: pod.Ordinal, UID: pod.UID, Images: pod.Images, Why: ComesNext})
	}
}

// pullAhead asks for the images of the pods that come after those at hand.
func (p *Plan) pullAhead(s State, queue []Pod) {
	ahead := 0
	for _, pod := range queue {
		if ahead >= s.MaxUnavailable || !s.PrePull {
			return
		}
		if pod.replaceable(s) && pod.Health >= Ready {
			ahead++
			p.ask(pod)
		}
	}
}
