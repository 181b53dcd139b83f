package schedule

// topology numbers the values of one node label, so that sums by value are
// sums in a slice.
type topology struct {
	key   string
	ids   map[string]int32
	value []int32 // by room; -1 where the node lacks the label
}

const noValue = -1

// topology is the numbering of a label, made when it is first asked for.
func (c *Cluster) topology(key string) *topology {
	t := c.topologies[key]
	if t == nil {
		t = &topology{key: key}
		c.topologies[key] = t
	}
	if t.ids == nil || len(t.ids) > 2*len(c.rooms)+64 { // new, or full of values that are gone
		t.ids, t.value = map[string]int32{}, nil
		for _, r := range c.rooms {
			if r != nil {
				t.set(r)
			}
		}
	}
	for len(t.value) < len(c.rooms) {
		t.value = append(t.value, noValue)
	}
	return t
}

// relabel follows a node whose labels changed.
func (c *Cluster) relabel(r *room) {
	for _, t := range c.topologies {
		t.set(r)
	}
}

func (t *topology) set(r *room) {
	for len(t.value) <= int(r.index) {
		t.value = append(t.value, noValue)
	}
	t.value[r.index] = noValue
	if r.node == nil {
		return
	}
	value, ok := r.node.Labels[t.key]
	if !ok {
		return
	}
	id, known := t.ids[value]
	if !known {
		id = int32(len(t.ids)) //nolint:gosec // no more than nodes
		t.ids[value] = id
	}
	t.value[r.index] = id
}

// of is the number of a room's value, noValue when it has none.
func (t *topology) of(r *room) int32 { return t.value[r.index] }

// tally is how many pods of a class each room holds.
type tally struct {
	rooms []int32
	total int
}

func (t *tally) add(r *room, n int32) {
	for len(t.rooms) <= int(r.index) {
		t.rooms = append(t.rooms, 0)
	}
	t.rooms[r.index] += n
	t.total += int(n)
}

func (t *tally) at(r *room) int32 {
	if int(r.index) < len(t.rooms) {
		return t.rooms[r.index]
	}
	return 0
}

// addTo adds the tally, times a weight, to sums by the values of a topology.
func (t *tally) addTo(sums []int64, by *topology, weight int64) {
	if t.total == 0 {
		return
	}
	for i, n := range t.rooms {
		if n != 0 && i < len(by.value) && by.value[i] != noValue {
			sums[by.value[i]] += weight * int64(n)
		}
	}
}
