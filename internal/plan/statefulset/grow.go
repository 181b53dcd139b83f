package statefulset

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// size compares what a claim asks for with its template and with what it has.
func (c *Claim) size(claim, template *corev1.PersistentVolumeClaim) {
	if claim.Status.Phase != corev1.ClaimBound {
		return // only bound claims can grow
	}
	asks := claim.Spec.Resources.Requests.Storage()
	c.TooSmall = asks.Cmp(*template.Spec.Resources.Requests.Storage()) < 0
	has, known := claim.Status.Capacity[corev1.ResourceStorage]
	c.Growing = known && has.Cmp(*asks) < 0
	c.Wanted = template.Spec.Resources.Requests.Storage().String()
}

// grow lets the claims of the wanted ordinals ask for what their templates do,
// whatever the set waits for otherwise: a full disk may be why a pod does not
// come up. It is the last step, so a claim that cannot grow holds up nothing.
// It tells of pods that are older than a claim template.
func (p *Plan) grow(slots []Pod) {
	p.step++
	for _, pod := range slots {
		if pod.OlderStorage && pod.Health > Dead && !pod.Terminating {
			p.hold(pod, LacksVolume)
		}
		for _, claim := range pod.Claims {
			switch {
			case claim.Deleting:
			case claim.TooSmall:
				p.do(Action{Verb: GrowClaim, Ordinal: pod.Ordinal, Claim: claim.Name, Template: claim.Template, Why: TooSmall})
			case claim.Growing:
				p.Holds = append(p.Holds, Hold{Ordinal: pod.Ordinal, Claim: claim.Name, Why: ClaimGrowing, Detail: claim.Wanted})
			}
		}
	}
}

// growing reports whether a claim has not all that its template asks for.
func growing(slots []Pod) bool {
	return slices.ContainsFunc(slots, func(pod Pod) bool {
		return slices.ContainsFunc(pod.Claims, func(c Claim) bool { return c.TooSmall || c.Growing })
	})
}

// forgiven are the pods with the volumes of claim templates that they are older
// than overlooked: those come when the pods are made again.
func forgiven(pods []Pod) []Pod {
	older := func(p Pod) bool { return p.OlderStorage }
	if !slices.ContainsFunc(pods, older) {
		return pods
	}
	pods = slices.Clone(pods)
	for i := range pods {
		if older(pods[i]) {
			pods[i].WrongStorage = false
		}
	}
	return pods
}
