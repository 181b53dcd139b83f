package autoscale

import "time"

// The longest windows that the API takes.
const (
	longestWindow = time.Hour
	longestPeriod = 30 * time.Minute
)

// Memory is what an autoscaler remembers between passes.
type Memory struct {
	// Recommendations are what the metrics asked for, before any limit.
	Recommendations []Recommendation
	// Changes are how the number of replicas was changed.
	Changes []Change
}

// Recommendation is a number of replicas that the metrics asked for.
type Recommendation struct {
	Replicas int32
	At       time.Time
}

// Change is by how much the number of replicas was changed.
type Change struct {
	By int32
	At time.Time
}

// since is a copy without what no window reaches back to.
func (m Memory) since(now time.Time) Memory {
	var out Memory
	for _, r := range m.Recommendations {
		if now.Sub(r.At) <= longestWindow {
			out.Recommendations = append(out.Recommendations, r)
		}
	}
	for _, c := range m.Changes {
		if now.Sub(c.At) <= longestPeriod {
			out.Changes = append(out.Changes, c)
		}
	}
	return out
}

func (m *Memory) recommend(replicas int32, at time.Time) {
	m.Recommendations = append(m.Recommendations, Recommendation{replicas, at})
}

func (m *Memory) changed(by int32, at time.Time) {
	m.Changes = append(m.Changes, Change{by, at})
}

// before is how many replicas there were so many seconds ago, if nobody else
// has changed the number.
func (m *Memory) before(current, seconds int32, now time.Time) int32 {
	for _, c := range m.Changes {
		if c.At.After(now.Add(-time.Duration(seconds) * time.Second)) {
			current -= c.By
		}
	}
	return current
}
