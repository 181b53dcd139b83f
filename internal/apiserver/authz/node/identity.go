package node

import (
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
)

const userPrefix = "system:node:"

// Identity returns the node that who is, and whether who is a node at all. The
// name is empty for a member of system:nodes that names no node.
func Identity(who user.Info) (name string, isNode bool) {
	if who == nil || !slices.Contains(who.GetGroups(), user.NodesGroup) {
		return "", false
	}
	name, ok := strings.CutPrefix(who.GetName(), userPrefix)
	if !ok {
		return "", false
	}
	return name, true
}
