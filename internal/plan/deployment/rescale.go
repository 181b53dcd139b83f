package deployment

import (
	"math"
	"slices"
)

// resized reports whether the wanted number has changed since a set that has
// pods was last scaled.
func (s State) resized() bool {
	return slices.ContainsFunc(active(s.Sets), func(set Set) bool { return set.Desired >= 0 && set.Desired != s.Replicas })
}

// rescale follows a change of the wanted number without rolling: the only set
// that has pods, or the newest when none has, takes all of it; several share it.
func (s State) rescale() []Action {
	sets := active(s.Sets)
	switch len(sets) {
	case 0:
		latest, ok := s.newest()
		if !ok && len(s.Sets) > 0 {
			latest, ok = s.Sets[len(s.Sets)-1], true
		}
		if !ok || s.Replicas == 0 {
			return nil
		}
		return []Action{scale(latest, s.Replicas)}
	case 1:
		return s.toSize(sets, map[string]int{sets[0].Name: s.Replicas})
	}
	if s.saturated() {
		var actions []Action
		for _, set := range active(s.old()) {
			actions = append(actions, scale(set, 0))
		}
		return actions
	}
	if s.Recreate {
		return nil
	}
	return s.toSize(sets, s.shares(sets))
}

// toSize scales sets, and brings their annotations up to date where the size is right.
func (s State) toSize(sets []Set, to map[string]int) []Action {
	var actions []Action
	for _, set := range sets {
		if to[set.Name] != set.Size || set.Desired != s.Replicas || set.Max != s.Replicas+s.Surge {
			actions = append(actions, scale(set, to[set.Name]))
		}
	}
	return actions
}

// saturated reports whether the new set has all that is wanted: then the old
// ones are not needed.
func (s State) saturated() bool {
	set, ok := s.newest()
	return ok && set.Size == s.Replicas && set.Desired == s.Replicas && set.Available == s.Replicas
}

// shares divides what is to be added or taken among the sets by their sizes, the
// larger first. What rounding leaves is the first one's.
func (s State) shares(sets []Set) map[string]int {
	allowed := 0
	if s.Replicas > 0 {
		allowed = s.Replicas + s.Surge
	}
	toAdd := allowed - total(sets, size)
	queue := slices.Clone(sets)
	if toAdd > 0 {
		slices.Reverse(queue) // of equal sets the newer grows first, the older shrinks first
	}
	slices.SortStableFunc(queue, func(a, b Set) int { return b.Size - a.Size })
	to, added := map[string]int{}, 0
	for _, set := range queue {
		left := toAdd - added // of its sign, so that nobody grows while all shrink
		share := min(max(s.share(set), min(left, 0)), max(left, 0))
		to[set.Name] = set.Size + share
		added += share
	}
	to[queue[0].Name] = max(to[queue[0].Name]+toAdd-added, 0)
	return to
}

// share is by how much a set would change if the whole changed in proportion.
func (s State) share(set Set) int {
	if s.Replicas == 0 {
		return -set.Size
	}
	before := set.Max
	if before <= 0 {
		if before = s.Had; before == 0 {
			return 0
		}
	}
	return int(math.Round(float64(set.Size*(s.Replicas+s.Surge))/float64(before))) - set.Size
}
