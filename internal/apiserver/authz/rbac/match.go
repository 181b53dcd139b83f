package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// RulesAllow says whether one of rules allows the request.
func RulesAllow(request authorizer.Attributes, rules ...rbacv1.PolicyRule) bool {
	for i := range rules {
		if ruleAllows(request, &rules[i]) {
			return true
		}
	}
	return false
}

func ruleAllows(request authorizer.Attributes, rule *rbacv1.PolicyRule) bool {
	if !has(rule.Verbs, request.GetVerb(), rbacv1.VerbAll) {
		return false
	}
	if !request.IsResourceRequest() {
		return allowsPath(rule.NonResourceURLs, request.GetPath())
	}
	return has(rule.APIGroups, request.GetAPIGroup(), rbacv1.APIGroupAll) &&
		allowsResource(rule.Resources, request.GetResource(), request.GetSubresource()) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, request.GetName()))
}

func has(list []string, want, all string) bool {
	return slices.Contains(list, want) || slices.Contains(list, all)
}

// allowsResource matches "*", "pods", "pods/log" and "*/log".
func allowsResource(list []string, resource, subresource string) bool {
	for _, allowed := range list {
		if allowed == rbacv1.ResourceAll {
			return true
		}
		if subresource == "" {
			if allowed == resource {
				return true
			}
			continue
		}
		left, right, ok := strings.Cut(allowed, "/")
		if ok && right == subresource && (left == resource || left == "*") {
			return true
		}
	}
	return false
}

// allowsPath matches "*", "/healthz" and "/healthz/*".
func allowsPath(list []string, path string) bool {
	for _, allowed := range list {
		if allowed == rbacv1.NonResourceAll || allowed == path {
			return true
		}
		if prefix, ok := strings.CutSuffix(allowed, "*"); ok && strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}
