package packet

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Book is the whole table: which part of it each Service makes. A front that
// two Services claim (an external address, say) is the first one's until that
// lets go of it.
type Book struct {
	Elements Elements

	tables  map[types.NamespacedName]Table // what each one has
	wanted  map[types.NamespacedName]Table // what it claims, where that is more
	holders map[Front]types.NamespacedName
}

// NewBook is an empty book.
func NewBook() *Book {
	return &Book{
		Elements: NewElements(), tables: map[types.NamespacedName]Table{},
		wanted: map[types.NamespacedName]Table{}, holders: map[Front]types.NamespacedName{},
	}
}

// Update takes what the named Services make now and returns the changes, in the
// order in which they have to be made.
func (b *Book) Update(next map[types.NamespacedName]Table) []Change {
	var changes []Change
	// What is let go of may be claimed by another in the same breath.
	for name, table := range next {
		held := b.tables[name]
		if !lets(held, table) {
			continue
		}
		rest := Table{}
		for front, target := range held {
			if _, stays := table[front]; stays {
				rest[front] = target
			} else {
				delete(b.holders, front)
			}
		}
		changes = b.replace(changes, name, rest)
	}
	for name, table := range next {
		delete(b.wanted, name)
		if len(table) > 0 {
			b.wanted[name] = table
		}
	}
	for _, name := range b.claimants(next) {
		granted, all := Table{}, true
		for front, target := range b.wanted[name] {
			if holder, taken := b.holders[front]; taken && holder != name {
				all = false
				continue
			}
			b.holders[front] = name
			granted[front] = target
		}
		if all {
			delete(b.wanted, name)
		}
		changes = b.replace(changes, name, granted)
	}
	return changes
}

// claimants are those whose claims are to be looked at: the named ones and all
// who wait, in an order that does not depend on chance.
func (b *Book) claimants(next map[types.NamespacedName]Table) []types.NamespacedName {
	var out []types.NamespacedName
	for name := range b.wanted {
		out = append(out, name)
	}
	for name := range next {
		if _, there := b.wanted[name]; !there {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
	return out
}

func (b *Book) replace(changes []Change, name types.NamespacedName, table Table) []Change {
	if c := b.Elements.Replace(b.tables[name], table); !c.Empty() {
		changes = append(changes, c)
	}
	if len(table) == 0 {
		delete(b.tables, name)
	} else {
		b.tables[name] = table
	}
	return changes
}

// lets says whether a front of held is not in next.
func lets(held, next Table) bool {
	for front := range held {
		if _, stays := next[front]; !stays {
			return true
		}
	}
	return false
}
