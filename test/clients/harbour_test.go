package clients

import (
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/conversion"
)

// What an operator's author writes: a kind in two versions. The older one has
// the number of slots as text.

var (
	portGroup = schema.GroupVersion{Group: "port.example.org", Version: "v1"}
	portOld   = schema.GroupVersion{Group: "port.example.org", Version: "v1alpha1"}
)

// Harbour is kept by the operator under test.
type Harbour struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              HarbourSpec   `json:"spec"`
	Status            HarbourStatus `json:"status,omitempty"`
}

type HarbourSpec struct {
	Slots int32  `json:"slots"`
	Owner string `json:"owner,omitempty"`
	Mode  string `json:"mode,omitempty"`
}

type HarbourStatus struct {
	Slots              int32              `json:"slots"`
	Selector           string             `json:"selector,omitempty"`
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

func (h *Harbour) Hub() {}

func (h *Harbour) DeepCopyObject() runtime.Object {
	out := *h
	out.ObjectMeta = *h.ObjectMeta.DeepCopy()
	out.Status.Conditions = nil
	for _, c := range h.Status.Conditions {
		out.Status.Conditions = append(out.Status.Conditions, *c.DeepCopy())
	}
	return &out
}

type HarbourList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Harbour `json:"items"`
}

func (l *HarbourList) DeepCopyObject() runtime.Object {
	out := &HarbourList{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy()}
	for i := range l.Items {
		out.Items = append(out.Items, *l.Items[i].DeepCopyObject().(*Harbour))
	}
	return out
}

// OldHarbour is a Harbour of v1alpha1.
type OldHarbour struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              OldHarbourSpec `json:"spec"`
	Status            HarbourStatus  `json:"status,omitempty"`
}

type OldHarbourSpec struct {
	Slots string `json:"slots"`
	Owner string `json:"owner,omitempty"`
	Mode  string `json:"mode,omitempty"`
}

func (h *OldHarbour) DeepCopyObject() runtime.Object {
	out := *h
	out.ObjectMeta = *h.ObjectMeta.DeepCopy()
	out.Status.Conditions = append([]metav1.Condition(nil), h.Status.Conditions...)
	return &out
}

func (h *OldHarbour) ConvertTo(hub conversion.Hub) error {
	to := hub.(*Harbour)
	slots, err := strconv.ParseInt(h.Spec.Slots, 10, 32)
	if err != nil {
		return fmt.Errorf("spec.slots: %q is no number of slots", h.Spec.Slots)
	}
	to.ObjectMeta, to.Status = h.ObjectMeta, h.Status
	to.Spec = HarbourSpec{Slots: int32(slots), Owner: h.Spec.Owner, Mode: h.Spec.Mode}
	return nil
}

func (h *OldHarbour) ConvertFrom(hub conversion.Hub) error {
	from := hub.(*Harbour)
	h.ObjectMeta, h.Status = from.ObjectMeta, from.Status
	h.Spec = OldHarbourSpec{Slots: strconv.Itoa(int(from.Spec.Slots)), Owner: from.Spec.Owner, Mode: from.Spec.Mode}
	return nil
}

func addHarbours(s *runtime.Scheme) {
	s.AddKnownTypeWithName(portGroup.WithKind("Harbour"), &Harbour{})
	s.AddKnownTypeWithName(portGroup.WithKind("HarbourList"), &HarbourList{})
	s.AddKnownTypeWithName(portOld.WithKind("Harbour"), &OldHarbour{})
	metav1.AddToGroupVersion(s, portGroup)
	metav1.AddToGroupVersion(s, portOld)
}
