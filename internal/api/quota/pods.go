package quota

import (
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/quota/v1"
	podresource "k8s.io/component-helpers/resource"
	"k8s.io/utils/clock"
)

// pods are charged for what they ask for, as long as they have not ended.
type pods struct{ clock clock.PassiveClock }

// podNames are the fixed names of what pods use.
var podNames = []corev1.ResourceName{
	count("pods"), corev1.ResourcePods,
	corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
	corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsEphemeralStorage,
	corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage,
}

// demanded must be given by every container of a pod once a quota limits them.
var demanded = []corev1.ResourceName{
	corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
}

func (pods) scoped() bool { return true }

func (pods) handles(a attributes) bool {
	switch a.GetSubresource() {
	case "":
		pod, ok := a.GetObject().(*corev1.Pod)
		old, was := a.GetOldObject().(*corev1.Pod)
		if a.GetOperation() == admission.Update && ok && was && hasDeadline(pod) != hasDeadline(old) {
			return true
		}
		return a.GetOperation() == admission.Create
	case "resize":
		return a.GetOperation() == admission.Update
	}
	return false
}

func (pods) tracked(name corev1.ResourceName) bool {
	return slices.Contains(podNames, name) ||
		strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) || strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix) ||
		requestOfExtended(name)
}

// requestOfExtended says whether name is "requests." and a resource that is
// not Kubernetes' own.
func requestOfExtended(name corev1.ResourceName) bool {
	return !native(name) && strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix)
}

func native(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

func extended(name corev1.ResourceName) bool {
	return !native(name) && !strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) &&
		len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

func (pods) constraints(required []corev1.ResourceName, obj runtime.Object) error {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return unexpected("pod", obj)
	}
	if podresource.IsPodLevelResourcesSet(pod) {
		return nil
	}
	var missing []string
	for _, name := range slices.Sorted(slices.Values(required)) {
		if !slices.Contains(demanded, name) {
			continue
		}
		var without []string
		for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
			for i := range list {
				if _, given := compute(list[i].Resources.Requests, list[i].Resources.Limits)[name]; !given {
					without = append(without, list[i].Name)
				}
			}
		}
		if len(without) > 0 {
			slices.Sort(without)
			missing = append(missing, string(name)+" for: "+strings.Join(without, ","))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return errors.New("must specify " + strings.Join(missing, "; "))
}

// compute names requests and limits as quotas do.
func compute(requests, limits corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{corev1.ResourcePods: one()}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		if q, ok := requests[name]; ok {
			out[name], out[corev1.DefaultResourceRequestsPrefix+name] = q, q
		}
		if q, ok := limits[name]; ok {
			out["limits."+name] = q
		}
	}
	for name, q := range requests {
		switch {
		case strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
			out[name], out[corev1.DefaultResourceRequestsPrefix+name] = q, q
		case extended(name):
			out[corev1.DefaultResourceRequestsPrefix+name] = q
		}
	}
	return out
}

func (p pods) usage(obj runtime.Object) (corev1.ResourceList, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return nil, unexpected("pod", obj)
	}
	out := corev1.ResourceList{count("pods"): one()}
	var now time.Time
	if p.clock != nil {
		now = p.clock.Now()
	}
	if !Charged(pod, now) {
		return out, nil
	}
	options := podresource.PodResourcesOptions{UseStatusResources: true}
	return v1.Add(out, compute(podresource.PodRequests(pod, options), podresource.PodLimits(pod, options))), nil
}

// Charged says whether a pod is charged for more than its existence: not once
// it has ended, or should have.
func Charged(pod *corev1.Pod, now time.Time) bool {
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return false
	}
	end, ending := Lapses(pod)
	return !ending || !now.After(end)
}
