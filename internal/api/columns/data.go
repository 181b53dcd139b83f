package columns

import (
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConfigMap is the header of config maps.
var ConfigMap = definitions{
	name(),
	column("Data", "string", corev1.ConfigMap{}.SwaggerDoc()["data"]),
	ageColumn(),
}

// ConfigMapRow prints a config map.
func ConfigMapRow(m *corev1.ConfigMap) []any {
	return []any{m.Name, int64(len(m.Data) + len(m.BinaryData)), age(m.CreationTimestamp)}
}

// Secret is the header of secrets.
var Secret = definitions{
	name(),
	column("Type", "string", corev1.Secret{}.SwaggerDoc()["type"]),
	column("Data", "string", corev1.Secret{}.SwaggerDoc()["data"]),
	ageColumn(),
}

// SecretRow prints a secret, none of its content.
func SecretRow(s *corev1.Secret) []any {
	return []any{s.Name, string(s.Type), int64(len(s.Data)), age(s.CreationTimestamp)}
}

// ServiceAccount is the header of service accounts.
var ServiceAccount = definitions{
	name(),
	column("Secrets", "string", corev1.ServiceAccount{}.SwaggerDoc()["secrets"]),
	ageColumn(),
}

// ServiceAccountRow prints a service account.
func ServiceAccountRow(a *corev1.ServiceAccount) []any {
	return []any{a.Name, int64(len(a.Secrets)), age(a.CreationTimestamp)}
}

// Lease is the header of leases.
var Lease = definitions{
	name(),
	column("Holder", "string", coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"]),
	ageColumn(),
}

// LeaseRow prints a lease.
func LeaseRow(l *coordinationv1.Lease) []any {
	return []any{l.Name, text(l.Spec.HolderIdentity, ""), age(l.CreationTimestamp)}
}

// PriorityClass is the header of priority classes.
var PriorityClass = definitions{
	name(),
	column("Value", "integer", "Value of priorityClass's Priority"),
	column("Global-Default", "boolean", schedulingv1.PriorityClass{}.SwaggerDoc()["globalDefault"]),
	ageColumn(),
	column("PreemptionPolicy", "string", schedulingv1.PriorityClass{}.SwaggerDoc()["preemptionPolicy"]),
}

// PriorityClassRow prints a priority class.
func PriorityClassRow(c *schedulingv1.PriorityClass) []any {
	return []any{c.Name, int64(c.Value), c.GlobalDefault, age(c.CreationTimestamp), text(c.PreemptionPolicy, "")}
}

// Role is the header of roles and cluster roles.
var Role = definitions{
	name(),
	{Name: "Created At", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"]},
}

// RoleRow prints a role or cluster role.
func RoleRow(m metav1.Object) []any {
	return []any{m.GetName(), m.GetCreationTimestamp().UTC().Format(time.RFC3339)}
}

// RoleBinding is the header of role bindings and cluster role bindings.
var RoleBinding = definitions{
	name(),
	column("Role", "string", rbacv1.RoleBinding{}.SwaggerDoc()["roleRef"]),
	ageColumn(),
	wide("Users", "Users in the roleBinding"),
	wide("Groups", "Groups in the roleBinding"),
	wide("ServiceAccounts", "ServiceAccounts in the roleBinding"),
}

// RoleBindingRow prints a role binding or cluster role binding.
func RoleBindingRow(m metav1.Object, ref rbacv1.RoleRef, subjects []rbacv1.Subject) []any {
	var users, groups, accounts []string
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.UserKind:
			users = append(users, s.Name)
		case rbacv1.GroupKind:
			groups = append(groups, s.Name)
		case rbacv1.ServiceAccountKind:
			accounts = append(accounts, s.Namespace+"/"+s.Name)
		}
	}
	return []any{
		m.GetName(), ref.Kind + "/" + ref.Name, age(m.GetCreationTimestamp()),
		strings.Join(users, ", "), strings.Join(groups, ", "), strings.Join(accounts, ", "),
	}
}
