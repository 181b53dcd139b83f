package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/client-go/kubernetes"
)

// systemPriorityClasses exist in every cluster.
var systemPriorityClasses = []*schedulingv1.PriorityClass{
	{
		ObjectMeta:  metav1.ObjectMeta{Name: "system-node-critical"},
		Value:       2_000_001_000,
		Description: "Used for system critical pods that must not be moved from their current node.",
	},
	{
		ObjectMeta:  metav1.ObjectMeta{Name: "system-cluster-critical"},
		Value:       2_000_000_000,
		Description: "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
	},
}

// PriorityClasses creates the priority classes of the system.
func PriorityClasses(ctx context.Context, client kubernetes.Interface) error {
	classes := client.SchedulingV1().PriorityClasses()
	have, err := classes.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("reading the priority classes: %w", err)
	}
	known := byName(have.Items)
	var errs []error
	for _, want := range systemPriorityClasses {
		if _, ok := known[want.Name]; ok {
			continue
		}
		if _, err := classes.Create(ctx, want.DeepCopy(), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
			errs = append(errs, failed(want, err))
		}
	}
	return errors.Join(errs...)
}

// FlowControl creates the flow schemas and priority levels of upstream that
// are missing, brings those up to date that nobody has taken over, and removes
// those that upstream has no more.
func FlowControl(ctx context.Context, client kubernetes.Interface) error {
	levels, schemas := client.FlowcontrolV1().PriorityLevelConfigurations(), client.FlowcontrolV1().FlowSchemas()
	haveLevels, err := levels.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("reading the priority levels: %w", err)
	}
	haveSchemas, err := schemas.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("reading the flow schemas: %w", err)
	}
	return errors.Join(
		settle(ctx, levels, byName(haveLevels.Items), bootstrap.MandatoryPriorityLevelConfigurations, bootstrap.SuggestedPriorityLevelConfigurations, updateLevel),
		settle(ctx, schemas, byName(haveSchemas.Items), bootstrap.MandatoryFlowSchemas, bootstrap.SuggestedFlowSchemas, updateSchema),
	)
}

func updateLevel(have, want *flowcontrolv1.PriorityLevelConfiguration) bool {
	spec := want.Spec.DeepCopy()
	if have.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt && have.Spec.Exempt != nil {
		spec.Exempt = have.Spec.Exempt // an administrator may change it
	}
	if equality.Semantic.DeepEqual(&have.Spec, spec) {
		return false
	}
	have.Spec = *spec
	return true
}

func updateSchema(have, want *flowcontrolv1.FlowSchema) bool {
	if equality.Semantic.DeepEqual(have.Spec, want.Spec) {
		return false
	}
	have.Spec = *want.Spec.DeepCopy()
	return true
}

// settle makes the objects what mandatory and suggested say. A suggested one
// is left alone once an administrator has changed it.
func settle[T object[T]](ctx context.Context, api writer[T], have map[string]T, mandatory, suggested []T, update func(have, want T) bool) error {
	var errs []error
	ours := map[string]bool{}
	for i, want := range append(mandatory[:len(mandatory):len(mandatory)], suggested...) {
		ours[want.GetName()] = true
		old, ok := have[want.GetName()]
		if !ok {
			_, err := api.Create(ctx, want.DeepCopy(), metav1.CreateOptions{FieldManager: flowControlManager})
			if !apierrors.IsAlreadyExists(err) {
				errs = append(errs, failed(want, err))
			}
			continue
		}
		follows := i < len(mandatory) || followsUpstream(old)
		next := old.DeepCopy()
		changed := follows && update(next, want)
		if mark(next, follows) || changed {
			_, err := api.Update(ctx, next, metav1.UpdateOptions{FieldManager: flowControlManager})
			errs = append(errs, failed(want, err))
		}
	}
	for name, old := range have {
		if follows, _ := strconv.ParseBool(old.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey]); follows && !ours[name] {
			errs = append(errs, remove(ctx, api, name))
		}
	}
	return errors.Join(errs...)
}

const flowControlManager = "api-priority-and-fairness-config-producer-v1"

// followsUpstream says whether a suggested object is to be kept up to date:
// its annotation says so or, without one, nobody has ever changed it.
func followsUpstream(o metav1.Object) bool {
	if follows, err := strconv.ParseBool(o.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey]); err == nil {
		return follows
	}
	return o.GetGeneration() == 1
}

func mark(o metav1.Object, follows bool) (changed bool) {
	annotations := o.GetAnnotations()
	if is, err := strconv.ParseBool(annotations[flowcontrolv1.AutoUpdateAnnotationKey]); err == nil && is == follows {
		return false
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[flowcontrolv1.AutoUpdateAnnotationKey] = strconv.FormatBool(follows)
	o.SetAnnotations(annotations)
	return true
}

func byName[T any, P interface {
	*T
	metav1.Object
}](list []T) map[string]P {
	out := make(map[string]P, len(list))
	for i := range list {
		out[P(&list[i]).GetName()] = &list[i]
	}
	return out
}
