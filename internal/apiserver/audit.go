package apiserver

import (
	"fmt"

	"k8s.io/apiserver/pkg/audit"
	genericapiserver "k8s.io/apiserver/pkg/server"
)

// auditing is shared by the server of declared kinds and that of definitions:
// a request is noted once, wherever it is answered.
type auditing struct {
	backend audit.Backend
	policy  audit.PolicyRuleEvaluator
}

func (s *Server) auditing() (*auditing, error) {
	if s.config.Audit == nil {
		return &auditing{}, nil
	}
	var c genericapiserver.Config
	if err := s.config.Audit.ApplyTo(&c); err != nil {
		return nil, fmt.Errorf("apiserver: audit: %w", err)
	}
	return &auditing{c.AuditBackend, c.AuditPolicyRuleEvaluator}, nil
}
