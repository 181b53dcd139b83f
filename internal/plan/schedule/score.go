package schedule

import (
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/toleration"
)

// Weights of upstream's default profile.
const (
	weightTaint    = 3
	weightAffinity = 2
	weightFit      = 1
	weightSpread   = 2
	weightBetween  = 2
	weightBalanced = 1
	weightImages   = 1
	top            = 100
)

// candidate is a node that passed every filter.
type candidate struct {
	room   *room
	claims []ClaimStep
	score  int64
}

// best is the candidate with the highest score; with equal scores the one
// with fewer pods, then the first by name.
func (r *request) best(fits []candidate) candidate {
	if len(fits) > 1 {
		r.score(fits)
	}
	winner := 0
	for i := range fits {
		if fits[i].score > fits[winner].score || (fits[i].score == fits[winner].score && before(fits[i].room, fits[winner].room)) {
			winner = i
		}
	}
	return fits[winner]
}

func before(a, b *room) bool {
	if len(a.pods) != len(b.pods) {
		return len(a.pods) < len(b.pods)
	}
	return a.name < b.name
}

// score adds up what speaks for each candidate.
func (r *request) score(fits []candidate) {
	scores := make([]int64, len(fits))
	tainted := false
	for i := range fits {
		n := fits[i].room
		scores[i] = 0
		if len(n.node.Spec.Taints) > 0 {
			scores[i] = dispreferred(r.Pod.Spec.Tolerations, n.node.Spec.Taints)
			tainted = tainted || scores[i] > 0
		}
		fits[i].score = weightFit*r.fit(n) + weightImages*r.images(n)
		if r.want.cpu > 0 || r.want.mem > 0 {
			fits[i].score += weightBalanced * r.balanced(n)
		}
	}
	if tainted {
		normalize(scores, true)
		weigh(fits, scores, weightTaint)
	}
	if r.preferred != nil {
		for i := range fits {
			scores[i] = r.preferred.Score(fits[i].room.node)
		}
		normalize(scores, false)
		weigh(fits, scores, weightAffinity)
	}
	if spread, ignored, ok := r.spreadScores(fits); ok {
		invert(spread, ignored)
		weigh(fits, spread, weightSpread)
	}
	if sums := r.betweenScores(); len(sums) > 0 {
		for i := range fits {
			scores[i] = 0
			for _, s := range sums {
				if value := s.by.of(fits[i].room); value != noValue {
					scores[i] += s.sums[value]
				}
			}
		}
		stretch(scores)
		weigh(fits, scores, weightBetween)
	}
}

func weigh(fits []candidate, scores []int64, weight int64) {
	for i := range fits {
		fits[i].score += weight * scores[i]
	}
}

// fit favours nodes with much left, or with little when the profile packs them.
func (r *request) fit(n *room) int64 {
	var sum, kinds int64
	count := func(used, have int64) {
		if have > 0 {
			sum += left(used, have, r.Profile.MostAllocated)
			kinds++
		}
	}
	count(n.scoreCPU+r.cpu, n.have.cpu)
	count(n.scoreMem+r.mem, n.have.mem)
	if kinds == 0 {
		return 0
	}
	return sum / kinds
}

func left(used, have int64, most bool) int64 {
	switch {
	case most:
		return min(used, have) * top / have
	case used > have:
		return 0
	}
	return (have - used) * top / have
}

// balanced favours nodes that the pod makes fill up more evenly.
func (r *request) balanced(n *room) int64 {
	evenness := func(cpu, mem int64) int64 {
		if n.have.cpu <= 0 || n.have.mem <= 0 {
			return top
		}
		c := min(float64(cpu)/float64(n.have.cpu), 1)
		m := min(float64(mem)/float64(n.have.mem), 1)
		return int64((1 - math.Abs(c-m)/2) * top)
	}
	after, now := evenness(n.used.cpu+r.want.cpu, n.used.mem+r.want.mem), evenness(n.used.cpu, n.used.mem)
	return top/2 + (top/2+after-now)/2
}

// Images count from the size on that a pull is worth avoiding, up to where more
// makes no difference.
const (
	smallImage = 23 << 20
	largeImage = 1000 << 20
)

// images favours nodes that have what the pod would have to pull. Images that
// few nodes have count less, so that these nodes are not crowded.
func (r *request) images(n *room) int64 {
	if len(n.images) == 0 {
		return 0
	}
	var sum int64
	add := func(image string) {
		image = tagged(image)
		if size, ok := n.images[image]; ok {
			sum += int64(float64(size) * float64(r.c.images[image]) / float64(r.c.nodes))
		}
	}
	spec := &r.Pod.Spec
	for i := range spec.InitContainers {
		add(spec.InitContainers[i].Image)
	}
	for i := range spec.Containers {
		add(spec.Containers[i].Image)
	}
	for i := range spec.Volumes {
		if image := spec.Volumes[i].Image; image != nil {
			add(image.Reference)
		}
	}
	most := int64(largeImage * (len(spec.InitContainers) + len(spec.Containers)))
	return top * (min(max(sum, smallImage), most) - smallImage) / (most - smallImage)
}

// tagged says the tag that an image without one means.
func tagged(image string) string {
	if strings.LastIndexByte(image, ':') <= strings.LastIndexByte(image, '/') {
		return image + ":latest"
	}
	return image
}

// dispreferred counts the PreferNoSchedule taints that the pod does not tolerate.
func dispreferred(tolerations []corev1.Toleration, taints []corev1.Taint) int64 {
	var count int64
	for i := range taints {
		if taints[i].Effect == corev1.TaintEffectPreferNoSchedule && !toleration.Any(tolerations, &taints[i]) {
			count++
		}
	}
	return count
}

// normalize stretches the numbers to 0..top; reverse makes few the best.
func normalize(scores []int64, reverse bool) {
	var highest int64
	for _, s := range scores {
		highest = max(highest, s)
	}
	for i := range scores {
		if highest > 0 {
			scores[i] = scores[i] * top / highest
		}
		if reverse {
			scores[i] = top - scores[i]
		}
	}
}

// stretch maps lowest and highest to 0 and top.
func stretch(scores []int64) {
	low, high := int64(math.MaxInt64), int64(math.MinInt64)
	for _, s := range scores {
		low, high = min(low, s), max(high, s)
	}
	for i := range scores {
		if high > low {
			scores[i] = int64(top * (float64(scores[i]-low) / float64(high-low)))
		} else {
			scores[i] = 0
		}
	}
}

// invert makes few the best, as spreading does; ignored nodes get nothing.
func invert(scores []int64, ignored []bool) {
	low, high := int64(math.MaxInt64), int64(0)
	for i, s := range scores {
		if !ignored[i] {
			low, high = min(low, s), max(high, s)
		}
	}
	for i := range scores {
		switch {
		case ignored[i]:
			scores[i] = 0
		case high == 0:
			scores[i] = top
		default:
			scores[i] = top * (high + low - scores[i]) / high
		}
	}
}
