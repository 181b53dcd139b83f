package policy

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/apiserver/authz/rbac"
)

// several are the words that stand for more than one verb.
var several = map[string][]string{
	"read":  {"get", "list", "watch"},
	"write": {"create", "delete", "deletecollection", "patch", "update"},
}

const aggregateLabel = "rbac.authorization.k8s.io/aggregate-to-"

type parser struct {
	out   rbac.Objects
	rules *[]rbacv1.PolicyRule // of the role that is being read
}

func parse(text string) (rbac.Objects, error) {
	var p parser
	for n, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		read := p.statement
		if strings.HasPrefix(line, " ") {
			read = p.rule
		}
		if err := read(words); err != nil {
			return rbac.Objects{}, fmt.Errorf("policy.txt:%d: %w", n+1, err)
		}
	}
	for _, r := range p.out.ClusterRoles {
		if r.AggregationRule != nil {
			r.Rules = rbac.Aggregate(r, p.out.ClusterRoles)
		}
	}
	return p.out, nil
}

func (p *parser) statement(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("%q names nothing", words[0])
	}
	switch words[0] {
	case "clusterrole":
		return p.clusterRole(words[1], words[2:])
	case "controller":
		role := "system:controller:" + words[1]
		if err := p.clusterRole(role, words[2:]); err != nil {
			return err
		}
		return p.grant(role, []string{"account:" + metav1.NamespaceSystem + "/" + words[1]})
	case "grant":
		return p.grant(words[1], words[2:])
	case "role":
		if len(words) != 3 {
			return fmt.Errorf("a role needs a namespace and a name")
		}
		role := &rbacv1.Role{ObjectMeta: meta(words[1], words[2])}
		p.out.Roles = append(p.out.Roles, role)
		p.rules = &role.Rules
		return nil
	case "grant-in":
		if len(words) < 5 {
			return fmt.Errorf("grant-in needs a namespace, a name, a role and a subject")
		}
		return p.grantIn(words[1], words[2], words[3], words[4:])
	}
	return fmt.Errorf("unknown statement %q", words[0])
}

func (p *parser) clusterRole(name string, options []string) error {
	role := &rbacv1.ClusterRole{ObjectMeta: meta("", name)}
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "in":
			role.Labels[aggregateLabel+value] = "true"
		case "gathers":
			role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
				{MatchLabels: map[string]string{aggregateLabel + value: "true"}},
			}}
		default:
			return fmt.Errorf("unknown option %q", option)
		}
	}
	p.out.ClusterRoles = append(p.out.ClusterRoles, role)
	p.rules = &role.Rules
	return nil
}

func (p *parser) rule(words []string) error {
	if p.rules == nil || len(words) < 3 || len(words) > 4 {
		return fmt.Errorf("a rule needs a role above it and three or four words")
	}
	rule := rbacv1.PolicyRule{Verbs: verbs(words[0])}
	if words[1] == "url" {
		rule.NonResourceURLs = list(words[2])
	} else {
		rule.APIGroups, rule.Resources = list(words[1]), list(words[2])
		for i, group := range rule.APIGroups {
			if group == "core" {
				rule.APIGroups[i] = ""
			}
		}
		slices.Sort(rule.APIGroups)
		if len(words) == 4 {
			rule.ResourceNames = list(words[3])
		}
	}
	*p.rules = append(*p.rules, rule)
	return nil
}

func (p *parser) grant(role string, subjects []string) error {
	parsed, err := subjectsOf(subjects)
	if err != nil {
		return err
	}
	p.out.ClusterRoleBindings = append(p.out.ClusterRoleBindings, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta("", role),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   parsed,
	})
	return nil
}

func (p *parser) grantIn(namespace, name, role string, subjects []string) error {
	role, ok := strings.CutPrefix(role, "role:")
	if !ok {
		return fmt.Errorf("grant-in grants role:NAME")
	}
	parsed, err := subjectsOf(subjects)
	if err != nil {
		return err
	}
	p.out.RoleBindings = append(p.out.RoleBindings, &rbacv1.RoleBinding{
		ObjectMeta: meta(namespace, name),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role},
		Subjects:   parsed,
	})
	return nil
}

func subjectsOf(words []string) ([]rbacv1.Subject, error) {
	var out []rbacv1.Subject
	for _, word := range words {
		kind, name, _ := strings.Cut(word, ":")
		switch kind {
		case "user":
			out = append(out, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name})
		case "group":
			out = append(out, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name})
		case "account":
			namespace, name, _ := strings.Cut(name, "/")
			out = append(out, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name})
		default:
			return nil, fmt.Errorf("unknown subject %q", word)
		}
	}
	return out, nil
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:   namespace,
		Name:        name,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

func list(word string) []string {
	out := strings.Split(word, ",")
	slices.Sort(out)
	return out
}

func verbs(word string) []string {
	var out []string
	for _, verb := range strings.Split(word, ",") {
		if more, ok := several[verb]; ok {
			out = append(out, more...)
		} else {
			out = append(out, verb)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
