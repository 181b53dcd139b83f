package node

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/selection"
)

const spiderpoolGroup = "spiderpool.spidernet.io"

// readNamed: get, list and watch of single secrets and config maps.
func (a *Authorizer) readNamed(r request, k kind) verdict {
	switch {
	case !slices.Contains([]string{"get", "list", "watch"}, r.GetVerb()):
		return because("can only read resources of this type")
	case r.GetSubresource() != "":
		return because("cannot read subresource")
	case r.GetNamespace() == "":
		return because("can only read namespaced object of this type")
	}
	return a.related(r, func(g *Graph) bool { return g.uses(r.node, reference{k, r.GetNamespace(), r.GetName()}) })
}

// getOne: get of single objects.
func (a *Authorizer) getOne(r request, ask func(*Graph) bool) verdict {
	switch {
	case r.GetVerb() != "get":
		return because("can only get individual resources of this type")
	case r.GetSubresource() != "":
		return because("cannot get subresource")
	}
	return a.related(r, ask)
}

func (a *Authorizer) claim(r request) verdict {
	ask := func(g *Graph) bool { return g.uses(r.node, reference{claim, r.GetNamespace(), r.GetName()}) }
	if r.GetSubresource() == "" && r.GetName() != "" && (r.GetVerb() == "list" || r.GetVerb() == "watch") {
		// More than upstream: what a node may get by name it may wait for by name.
		return a.related(r, ask)
	}
	if r.GetSubresource() != "status" {
		return a.getOne(r, ask)
	}
	if verb := r.GetVerb(); verb != "update" && verb != "patch" {
		return because("can only get/update/patch this type")
	}
	return a.related(r, ask)
}

// account: the service accounts of the node's pods, and tokens of theirs.
func (a *Authorizer) account(r request) verdict {
	switch {
	case r.GetVerb() == "get" && r.GetSubresource() == "":
	case r.GetVerb() != "create" || r.GetName() == "":
		return because("can only create tokens for individual service accounts")
	case r.GetSubresource() != "token":
		return because("can only create token subresource of serviceaccount")
	}
	return a.related(r, func(g *Graph) bool { return g.uses(r.node, reference{serviceAccount, r.GetNamespace(), r.GetName()}) })
}

// podCertificates: requests for the node's pods.
func podCertificates(r request) verdict {
	switch {
	case r.GetSubresource() != "":
		return because("nodes may not access the status subresource of PodCertificateRequests")
	case r.GetVerb() == "create":
		// Admission (NodeRestriction) sees to it that the pod is on the node.
		return yes
	case (r.GetVerb() == "list" || r.GetVerb() == "watch") && selectsNode(r, "spec.nodeName"):
		return yes
	}
	return because("can only create podcertificaterequests, and list/watch them with spec.nodeName field selector")
}

func nodes(r request) verdict {
	switch sub, verb := r.GetSubresource(), r.GetVerb(); {
	case sub == "" && slices.Contains([]string{"create", "update", "patch"}, verb),
		sub == "status" && slices.Contains([]string{"update", "patch"}, verb):
		// Admission (NodeRestriction) sees to it that it is its own.
		return yes
	case sub == "" && slices.Contains([]string{"get", "list", "watch"}, verb):
		// By name and not by the graph: a node looks before it registers itself.
		switch r.GetName() {
		case r.node:
			return yes
		case "":
			// More than upstream, whose service proxy may: routes lead to other nodes.
			if verb != "get" {
				return yes
			}
			return because(fmt.Sprintf("node '%s' cannot read all nodes, only its own Node object", r.node))
		default:
			return because(fmt.Sprintf("node '%s' cannot read '%s', only its own Node object", r.node, r.GetName()))
		}
	}
	return no
}

func (a *Authorizer) pods(r request) verdict {
	switch sub, verb := r.GetSubresource(), r.GetVerb(); {
	case sub == "" && verb == "get":
		return a.related(r, podHere(r))
	case sub == "" && (verb == "list" || verb == "watch"):
		if selectsNode(r, "spec.nodeName") {
			return yes
		}
		if r.GetName() != "" {
			return a.related(r, podHere(r))
		}
		return because("can only list/watch pods with spec.nodeName field selector")
	case sub == "" && (verb == "create" || verb == "delete"),
		sub == "status" && (verb == "update" || verb == "patch"),
		sub == "eviction" && verb == "create":
		// Admission (NodeRestriction) sees to it that the pod is on the node.
		return yes
	}
	return no
}

// addresses: the grants of pods, which are named as the pods. A node makes routes
// to those of all other nodes.
func (a *Authorizer) addresses(r request) verdict {
	if r.GetSubresource() != "" {
		return because("cannot read subresource")
	}
	switch r.GetVerb() {
	case "get":
		return a.related(r, podHere(r))
	case "list", "watch":
		if r.GetName() != "" {
			return a.related(r, podHere(r))
		}
		return yes
	}
	return because("can only read spiderendpoints")
}

func selectsNode(r request, field string) bool {
	selectors, err := r.GetFieldSelector()
	if err != nil {
		return false
	}
	for _, s := range selectors {
		if s.Field == field && (s.Operator == selection.Equals || s.Operator == selection.DoubleEquals) && s.Value == r.node {
			return true
		}
	}
	return false
}

func leases(r request) verdict {
	switch {
	case !slices.Contains([]string{"get", "create", "update", "patch", "delete"}, r.GetVerb()):
		return because("can only get, create, update, patch, or delete a node lease")
	case r.GetNamespace() != corev1.NamespaceNodeLease:
		return because(fmt.Sprintf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease))
	case r.GetVerb() != "create" && r.GetName() != r.node:
		// The name is not known at a create: admission (NodeRestriction) looks at it.
		return because("can only access node lease with the same name as the requesting node")
	}
	return yes
}

func csiNodes(r request) verdict {
	switch {
	case !slices.Contains([]string{"get", "create", "update", "patch", "delete"}, r.GetVerb()):
		return because("can only get, create, update, patch, or delete a CSINode")
	case r.GetSubresource() != "":
		return because("cannot authorize CSINode subresources")
	case r.GetVerb() != "create" && r.GetName() != r.node:
		return because("can only access CSINode with the same name as the requesting node")
	}
	return yes
}
