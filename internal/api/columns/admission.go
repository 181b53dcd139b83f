package columns

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	// WebhookConfiguration are the columns of both kinds of webhook.
	WebhookConfiguration = definitions{
		name(),
		column("Webhooks", "integer", "Webhooks indicates the number of webhooks registered in this configuration"),
		ageColumn(),
	}
	// ValidatingPolicy are the columns of a ValidatingAdmissionPolicy.
	ValidatingPolicy = definitions{
		name(),
		column("Validations", "integer", "Validations indicates the number of validation rules defined in this configuration"),
		column("ParamKind", "string", paramKind),
		ageColumn(),
	}
	// MutatingPolicy are the columns of a MutatingAdmissionPolicy.
	MutatingPolicy = definitions{
		name(),
		column("Mutations", "integer", "Mutation indicates the number of mutations rules defined in this configuration"),
		column("ParamKind", "string", paramKind),
		ageColumn(),
	}
	// PolicyBinding are the columns of both kinds of policy binding.
	PolicyBinding = definitions{
		name(),
		column("PolicyName", "string", "PolicyName indicates the policy definition which the policy binding binded to"),
		column("ParamRef", "string", "ParamRef indicates the param resource which sets the configuration param"),
		ageColumn(),
	}
)

const paramKind = "ParamKind specifies the kind of resources used to parameterize this policy"

// WebhookConfigurationRow prints a configuration of so many webhooks.
func WebhookConfigurationRow(m *metav1.ObjectMeta, hooks int) []any {
	return []any{m.Name, int64(hooks), age(m.CreationTimestamp)}
}

// PolicyRow prints a policy of so many validations or mutations.
func PolicyRow(m *metav1.ObjectMeta, rules int, parameter *admissionregistrationv1.ParamKind) []any {
	of := unset
	if parameter != nil {
		of = parameter.APIVersion + "/" + parameter.Kind
	}
	return []any{m.Name, int64(rules), of, age(m.CreationTimestamp)}
}

// PolicyBindingRow prints a binding.
func PolicyBindingRow(m *metav1.ObjectMeta, policy string, parameter *admissionregistrationv1.ParamRef) []any {
	return []any{m.Name, policy, parameterOf(parameter), age(m.CreationTimestamp)}
}

func parameterOf(p *admissionregistrationv1.ParamRef) string {
	switch {
	case p == nil:
		return unset
	case p.Name != "":
		return or(p.Namespace, "*") + "/" + p.Name
	case p.Selector != nil:
		return p.Selector.String()
	}
	return unset
}
