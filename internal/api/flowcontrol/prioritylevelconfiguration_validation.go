package flowcontrol

import (
	"fmt"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/apiserver/pkg/util/shufflesharding"

	"berth.dev/berth/internal/api/validation"
)

const (
	exempt     = flowcontrolv1.PriorityLevelEnablementExempt
	limited    = flowcontrolv1.PriorityLevelEnablementLimited
	queue      = flowcontrolv1.LimitResponseTypeQueue
	reject     = flowcontrolv1.LimitResponseTypeReject
	mostQueues = 10_000_000
)

func validateLevel(l *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
	var f validation.Findings
	f.Meta(&l.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	levelSpec(&f, l.Name, &l.Spec)
	for _, fixed := range bootstrap.MandatoryPriorityLevelConfigurations {
		if fixed.Name != l.Name {
			continue
		}
		spec, but := l.Spec, ""
		if l.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt {
			spec.Exempt, but = fixed.Spec.Exempt, " except the 'spec.exempt' field"
		}
		if !equality.Semantic.DeepEqual(fixed.Spec, spec) {
			f.Invalid(specPath, validation.Untagged(l.Spec), fmt.Sprintf("spec of '%s'%s must equal the fixed value", l.Name, but))
		}
	}
	f.Add(levelStatus(&l.Status)...)
	return f.List()
}

// levelSpec checks what upstream checks by hand. Which member goes with which
// type, its types declare.
func levelSpec(f *validation.Findings, name string, s *flowcontrolv1.PriorityLevelConfigurationSpec) {
	if (name == flowcontrolv1.PriorityLevelConfigurationNameExempt) != (s.Type == exempt) {
		f.Invalid(specPath.Child("type"), s.Type, "type must be 'Exempt' if and only if name is 'exempt'")
	}
	switch s.Type {
	case exempt:
		if e := s.Exempt; e != nil {
			p := specPath.Child("exempt")
			atLeastNone(f, p.Child("nominalConcurrencyShares"), e.NominalConcurrencyShares, "must be a non-negative integer")
			percent(f, p.Child("lendablePercent"), e.LendablePercent)
		}
	case limited:
		if s.Limited != nil {
			limits(f, specPath.Child("limited"), s.Limited)
		}
	case "":
	default:
		f.Add(field.NotSupported(specPath.Child("type"), s.Type, []flowcontrolv1.PriorityLevelEnablement{exempt, limited}))
	}

	goesWith(f, specPath.Child("limited"), s.Limited != nil, s.Type == limited, s.Type == limited)
	goesWith(f, specPath.Child("exempt"), s.Exempt != nil, s.Type == exempt, false)
	f.Declared(specPath.Child("type"), string(s.Type))
	if s.Limited != nil {
		p, r := specPath.Child("limited", "limitResponse"), &s.Limited.LimitResponse
		goesWith(f, p.Child("queuing"), r.Queuing != nil, r.Type == queue, r.Type == queue)
		f.Declared(p.Child("type"), string(r.Type))
	}
}

// goesWith checks a member of a union.
func goesWith(f *validation.Findings, p *field.Path, given, may, must bool) {
	switch {
	case given && !may:
		f.AddDeclared(field.Forbidden(p, ""))
	case !given && must:
		f.AddDeclared(field.Required(p, ""))
	}
}

func atLeastNone(f *validation.Findings, p *field.Path, n *int32, detail string) {
	if n != nil && *n < 0 {
		f.Invalid(p, *n, detail)
	}
}

func percent(f *validation.Findings, p *field.Path, n *int32) {
	if n != nil && (*n < 0 || *n > 100) {
		f.Invalid(p, *n, "must be between 0 and 100, inclusive")
	}
}

func limits(f *validation.Findings, p *field.Path, l *flowcontrolv1.LimitedPriorityLevelConfiguration) {
	atLeastNone(f, p.Child("nominalConcurrencyShares"), l.NominalConcurrencyShares, "must be a non-negative integer")
	r := &l.LimitResponse
	switch at := p.Child("limitResponse"); r.Type {
	case queue:
		if r.Queuing != nil {
			queues(f, at.Child("queuing"), r.Queuing)
		}
	case reject, "":
	default:
		f.Add(field.NotSupported(at.Child("type"), r.Type, []flowcontrolv1.LimitResponseType{queue, reject}))
	}
	percent(f, p.Child("lendablePercent"), l.LendablePercent)
	atLeastNone(f, p.Child("borrowingLimitPercent"), l.BorrowingLimitPercent, "if specified, must be a non-negative integer")
}

func queues(f *validation.Findings, p *field.Path, q *flowcontrolv1.QueuingConfiguration) {
	const positive = "must be positive"
	if q.QueueLengthLimit <= 0 {
		f.Invalid(p.Child("queueLengthLimit"), q.QueueLengthLimit, positive)
	}
	switch {
	case q.Queues <= 0:
		f.Invalid(p.Child("queues"), q.Queues, positive)
	case q.Queues > mostQueues:
		f.Invalid(p.Child("queues"), q.Queues, fmt.Sprintf("must not be greater than %d", mostQueues))
	}
	hand := p.Child("handSize")
	switch {
	case q.HandSize <= 0:
		f.Invalid(hand, q.HandSize, positive)
	case q.HandSize > q.Queues:
		f.Invalid(hand, q.HandSize, fmt.Sprintf("should not be greater than queues (%d)", q.Queues))
	case shufflesharding.RequiredEntropyBits(int(q.Queues), int(q.HandSize)) > shufflesharding.MaxHashBits:
		f.Invalid(hand, q.HandSize, fmt.Sprintf("required entropy bits of deckSize %d and handSize %d should not be greater than %d",
			q.Queues, q.HandSize, shufflesharding.MaxHashBits))
	}
}

func levelStatus(s *flowcontrolv1.PriorityLevelConfigurationStatus) field.ErrorList {
	var types []string
	for _, c := range s.Conditions {
		types = append(types, string(c.Type))
	}
	return conditionTypes(types)
}
