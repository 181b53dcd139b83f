package columns

import (
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper"
)

// APIService is the header of API services.
var APIService = definitions{
	name(),
	column("Service", "string", "The reference to the service that hosts this API endpoint."),
	column("Available", "string", "Whether this service is available."),
	ageColumn(),
}

// APIServiceRow prints an API service.
func APIServiceRow(s *apiregistrationv1.APIService) []any {
	service := "Local"
	if r := s.Spec.Service; r != nil {
		service = r.Namespace + "/" + r.Name
	}
	available := string(apiregistrationv1.ConditionUnknown)
	if c := helper.GetAPIServiceConditionByType(s, apiregistrationv1.Available); c != nil {
		available = string(c.Status)
		if c.Status != apiregistrationv1.ConditionTrue && c.Reason != "" {
			available += " (" + c.Reason + ")"
		}
	}
	return []any{s.Name, service, available, age(s.CreationTimestamp)}
}
