package admission

import (
	"context"

	"k8s.io/apiserver/pkg/admission"
)

// reinvoked runs the mutating half of the chain once more when a webhook or a
// policy has changed the object and asks for it.
type reinvoked struct{ admission.Interface }

// Admit implements admission.MutationInterface.
func (r reinvoked) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	chain, ok := r.Interface.(admission.MutationInterface)
	if !ok {
		return nil
	}
	if err := chain.Admit(ctx, a, o); err != nil {
		return err
	}
	again := a.GetReinvocationContext()
	if !again.ShouldReinvoke() {
		return nil
	}
	again.SetIsReinvoke()
	return chain.Admit(ctx, a, o)
}

// Validate implements admission.ValidationInterface.
func (r reinvoked) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	if chain, ok := r.Interface.(admission.ValidationInterface); ok {
		return chain.Validate(ctx, a, o)
	}
	return nil
}
