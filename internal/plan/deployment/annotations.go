package deployment

import (
	"maps"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// What a Deployment writes on its sets, and the revision on itself too.
const (
	RevisionAnnotation = "deployment.kubernetes.io/revision"
	historyAnnotation  = "deployment.kubernetes.io/revision-history"
	desiredAnnotation  = "deployment.kubernetes.io/desired-replicas"
	maxAnnotation      = "deployment.kubernetes.io/max-replicas"
)

// maxHistory is how long the list of a set's earlier revisions may become.
const maxHistory = 2000

// own reports whether an annotation is not for copying between a Deployment and
// its sets: each has its own.
func own(name string) bool {
	switch name {
	case corev1.LastAppliedConfigAnnotation, RevisionAnnotation, historyAnnotation, desiredAnnotation, maxAnnotation, appsv1.DeprecatedRollbackTo:
		return true
	}
	return false
}

// revisionOf is the set's revision, 0 when it has none.
func revisionOf(rs *appsv1.ReplicaSet) int64 {
	n, err := strconv.ParseInt(rs.Annotations[RevisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// number is what an annotation says, -1 when it says no size.
func number(rs *appsv1.ReplicaSet, name string) int {
	n, err := strconv.ParseInt(rs.Annotations[name], 10, 32)
	if err != nil || n < 0 {
		return -1
	}
	return int(n)
}

// nextRevision is the revision that follows those of all sets but the new one.
func (f Facts) nextRevision() int64 {
	latest, highest := f.newSet(), int64(0)
	for _, rs := range f.Sets {
		if rs != latest {
			highest = max(highest, revisionOf(rs))
		}
	}
	return highest + 1
}

// annotations are what the new set is to carry: the Deployment's, and the
// highest revision. An earlier revision of the set joins its history.
func (f Facts) annotations(has map[string]string) map[string]string {
	all := maps.Clone(has)
	if all == nil {
		all = map[string]string{}
	}
	for name, value := range f.Deployment.Annotations {
		if !own(name) {
			all[name] = value
		}
	}
	before, given := has[RevisionAnnotation]
	old, err := strconv.ParseInt(before, 10, 64)
	if given && err != nil {
		return all // what somebody has made of it is left alone
	}
	next := f.nextRevision()
	if old >= next {
		return all
	}
	all[RevisionAnnotation] = strconv.FormatInt(next, 10)
	if given {
		all[historyAnnotation] = joinHistory(has[historyAnnotation], before)
	}
	return all
}

// joinHistory adds a revision to a list and drops the oldest where it gets long.
func joinHistory(list, revision string) string {
	if list == "" {
		return revision
	}
	list += "," + revision
	for len(list) > maxHistory {
		_, rest, more := strings.Cut(list, ",")
		if !more {
			break
		}
		list = rest
	}
	return list
}

// sizes are the annotations that a set has after it was scaled.
func (s State) sizes(has map[string]string) map[string]string {
	all := maps.Clone(has)
	if all == nil {
		all = map[string]string{}
	}
	all[desiredAnnotation] = strconv.Itoa(s.Replicas)
	all[maxAnnotation] = strconv.Itoa(s.Replicas + s.Surge)
	return all
}
