package keyring

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
)

// contents are what servers share, by name: the files of pki and clusterName.
type contents map[string][]byte

// hashes are what a server last agreed on with the others.
type hashes map[string]string

// remade are made anew when somebody deletes them; what else is deleted comes
// back from the datastore.
var remade = []string{"join.token", "sa.key"}

func hashOf(data []byte) string {
	if data == nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (c contents) hashes() hashes {
	out := hashes{}
	for name, data := range c {
		out[name] = hashOf(data)
	}
	return out
}

// merge joins what this server has with what the datastore has. What only one
// of them has changed since they last agreed is right; before they have agreed
// on anything, only what is alike or missing is. foreign are names that fit
// neither.
func merge(base hashes, mine, theirs contents) (merged contents, foreign []string) {
	merged = contents{}
	names := slices.Sorted(maps.Keys(mine))
	for name := range theirs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		m, t, b := hashOf(mine[name]), hashOf(theirs[name]), base[name]
		deleted := m == "" && b != "" && slices.Contains(remade, name)
		switch {
		case m == t, m == b, m == "" && !deleted:
			merged[name] = theirs[name]
		case deleted && t == b:
		case deleted:
			merged[name] = theirs[name]
		case t == b:
			merged[name] = mine[name]
		default:
			foreign = append(foreign, name)
		}
	}
	maps.DeleteFunc(merged, func(_ string, data []byte) bool { return data == nil })
	return merged, foreign
}
