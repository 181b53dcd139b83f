// Package offsite decides which snapshots are copied to a place elsewhere, and
// which of the copies there are removed.
package offsite

import (
	"slices"
)

// Plan is what is to be done, in this order.
type Plan struct {
	Send   []string // the newest first: it is the one that will be wanted
	Remove []string // once all of Send are there
}

// Decide compares the scheduled snapshots that are here with those of the same
// server that are there, by names that sort by time. keep is how many stay there;
// 0 is all. Nothing is removed for the sake of a snapshot that is not there yet,
// and nothing is sent that would be removed again.
func Decide(here, there []string, keep int) Plan {
	all := slices.Concat(here, there)
	slices.Sort(all)
	all = slices.Compact(all)
	if keep > 0 {
		all = all[max(0, len(all)-keep):]
	}
	var p Plan
	for _, name := range slices.Backward(all) {
		if !slices.Contains(there, name) {
			p.Send = append(p.Send, name)
		}
	}
	for _, name := range there {
		if !slices.Contains(all, name) {
			p.Remove = append(p.Remove, name)
		}
	}
	slices.Sort(p.Remove)
	return p
}
