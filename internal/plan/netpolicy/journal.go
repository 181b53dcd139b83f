package netpolicy

import "net/netip"

// journal is what an update has touched so far, and how it was before.
type journal struct {
	stale   map[*kind]struct{} // to be decided anew
	former  map[*kind]struct{} // without any pod
	touched map[netip.Addr]struct{}

	wasSet        map[string]bool            // whether it was there
	wasMember     map[string]map[Member]bool // of sets that were
	wasProfile    map[string]bool
	wasIn, wasOut map[netip.Addr]string
}

func newJournal() *journal {
	return &journal{
		stale: map[*kind]struct{}{}, former: map[*kind]struct{}{}, touched: map[netip.Addr]struct{}{},
		wasSet: map[string]bool{}, wasMember: map[string]map[Member]bool{}, wasProfile: map[string]bool{},
		wasIn: map[netip.Addr]string{}, wasOut: map[netip.Addr]string{},
	}
}

// known notes whether a set is there, unless that was noted before.
func (j *journal) known(set string, is bool) {
	if _, noted := j.wasSet[set]; !noted {
		j.wasSet[set] = is
	}
}

func (j *journal) profile(name string, is bool) {
	if _, noted := j.wasProfile[name]; !noted {
		j.wasProfile[name] = is
	}
}

// member notes whether a set has it, before that changes.
func (j *journal) member(s *set, m Member) {
	j.known(s.name, true)
	if !j.wasSet[s.name] {
		return // all it has will be new
	}
	if j.wasMember[s.name] == nil {
		j.wasMember[s.name] = map[Member]bool{}
	}
	if _, noted := j.wasMember[s.name][m]; !noted {
		j.wasMember[s.name][m] = s.members[m] > 0
	}
}

// dropped notes all of a set, which may be made again with something else.
func (j *journal) dropped(s *set) {
	j.known(s.name, true)
	for m := range s.members {
		j.member(s, m)
	}
}

// change is what leads from what was to what the book says now.
func (j *journal) change(b *Book) Change {
	c := newChange()
	for name, was := range j.wasProfile {
		switch p := b.profiles[name]; {
		case was && p == nil:
			c.DropProfiles = append(c.DropProfiles, name)
		case !was && p != nil:
			c.MakeProfiles[name] = p.Profile
		}
	}
	for name, was := range j.wasSet {
		switch s := b.sets[name]; {
		case was && s == nil:
			c.DropSets = append(c.DropSets, name)
		case !was && s != nil:
			c.MakeSets[name] = s.all()
		case was:
			for m, had := range j.wasMember[name] {
				if has := s.members[m] > 0; had && !has {
					c.Del[name] = append(c.Del[name], m)
				} else if has && !had {
					c.Add[name] = append(c.Add[name], m)
				}
			}
		}
	}
	for _, d := range []struct {
		was, now map[netip.Addr]string
		del      *[]netip.Addr
		add      map[netip.Addr]string
	}{{j.wasIn, b.in, &c.DelIngress, c.AddIngress}, {j.wasOut, b.out, &c.DelEgress, c.AddEgress}} {
		for a, was := range d.was {
			now := d.now[a]
			if was != "" && was != now {
				*d.del = append(*d.del, a)
			}
			if now != "" && was != now {
				d.add[a] = now
			}
		}
	}
	return c
}
