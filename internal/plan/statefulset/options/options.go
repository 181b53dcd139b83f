// Package options reads the annotations by which a StatefulSet asks for more
// than apps/v1 has fields for. Admission refuses what Parse finds wrong; the
// planner leaves such a value out.
package options

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The annotations.
const (
	// Paused, "true", holds a rollout: no pod is replaced for another revision.
	Paused = "berth.dev/paused"
	// ReserveOrdinals, such as "1,3-5", are ordinals that get no pod.
	ReserveOrdinals = "berth.dev/reserve-ordinals"
	// ScaleDownUnready, "true", lets surplus pods of an ordered set go that are not ready.
	ScaleDownUnready = "berth.dev/scale-down-unready"
	// MaxUnavailableScale, a number or a percentage of replicas, is how many pods
	// of a Parallel set may be on their way up at once.
	MaxUnavailableScale = "berth.dev/max-unavailable-scale"
	// OrderedTeardown, "true", lets the deletion of a set stop its pods one by
	// one, highest ordinal first.
	OrderedTeardown = "berth.dev/ordered-teardown"
	// RespectPDB, "true", lets a rollout take only pods that every
	// PodDisruptionBudget lets go.
	RespectPDB = "berth.dev/respect-pdb"
	// Recovery, "Parallel" or "Ordered", is how pods come back that were ready
	// before: all at once, or in order as upstream does.
	Recovery = "berth.dev/recovery"
	// UpdateOrder, "descending", "ascending" or a pod label with values such as
	// "role=replica,primary", is the order in which a rollout takes pods.
	UpdateOrder = "berth.dev/update-order"
	// InPlaceUpdate, "IfPossible" or "Only", brings running pods to another
	// revision instead of making them anew.
	InPlaceUpdate = "berth.dev/in-place-update"
	// PrePull, "true", lets the images of a rollout be on a node before a pod that
	// works there is taken.
	PrePull = "berth.dev/pre-pull"
	// Overrides names a ConfigMap with patches of the template by ordinal.
	Overrides = "berth.dev/overrides"
	// NodeLoss, "Replace", lets pods of a node that is not heard from be replaced once
	// that node's fence has stopped them.
	NodeLoss = "berth.dev/node-loss"
	// ProgressDeadlineSeconds is how long a set may stand still before its
	// condition Progressing is False.
	ProgressDeadlineSeconds = "berth.dev/progress-deadline-seconds"
)

// Replace is the value of NodeLoss.
const Replace = "Replace"

// InPlace is when pods are updated in place.
type InPlace string

// Never is upstream's way; IfPossible makes anew what cannot be updated in place;
// Only refuses it.
const (
	Never      InPlace = ""
	IfPossible InPlace = "IfPossible"
	Only       InPlace = "Only"
)

// ReplaceLabel, "true" on a pod, asks for a new pod in its place.
const ReplaceLabel = "berth.dev/replace"

// TeardownFinalizer keeps a set until its pods have been stopped in order.
const TeardownFinalizer = OrderedTeardown

// DefaultProgressDeadline is upstream's for Deployments.
const DefaultProgressDeadline = 600 * time.Second

// Options are what the annotations say.
type Options struct {
	Paused              bool
	Reserved            Ordinals
	ScaleDownUnready    bool
	MaxUnavailableScale *intstr.IntOrString // nil: no limit
	ProgressDeadline    time.Duration
	OrderedTeardown     bool
	RespectPDB          bool
	RecoverTogether     bool
	Order               Order
	InPlace             InPlace
	PrePull             bool
	Overrides           string
	ReplaceLost         bool
}

// Problem is an annotation whose value cannot be used.
type Problem struct {
	Annotation, Value, Message string
}

// Parse reads the annotations of a set.
func Parse(annotations map[string]string) (Options, []Problem) {
	o := Options{ProgressDeadline: DefaultProgressDeadline}
	var problems []Problem
	read := func(name string, set func(value string) error) {
		value, given := annotations[name]
		if !given {
			return
		}
		if err := set(value); err != nil {
			problems = append(problems, Problem{Annotation: name, Value: value, Message: err.Error()})
		}
	}
	read(Paused, flag(&o.Paused))
	read(ReserveOrdinals, func(value string) (err error) {
		o.Reserved, err = ParseOrdinals(value)
		return err
	})
	read(ScaleDownUnready, flag(&o.ScaleDownUnready))
	read(Recovery, func(value string) error {
		if value != "Parallel" && value != "Ordered" {
			return fmt.Errorf(`must be "Parallel" or "Ordered"`)
		}
		o.RecoverTogether = value == "Parallel"
		return nil
	})
	read(UpdateOrder, func(value string) (err error) {
		o.Order, err = ParseOrder(value)
		return err
	})
	read(InPlaceUpdate, func(value string) error {
		if o.InPlace = InPlace(value); o.InPlace != IfPossible && o.InPlace != Only {
			o.InPlace = Never
			return fmt.Errorf(`must be "IfPossible" or "Only"`)
		}
		return nil
	})
	read(PrePull, flag(&o.PrePull))
	read(NodeLoss, func(value string) error {
		if o.ReplaceLost = value == Replace; !o.ReplaceLost {
			return fmt.Errorf("must be %q", Replace)
		}
		return nil
	})
	read(Overrides, func(value string) error {
		if problems := validation.IsDNS1123Subdomain(value); len(problems) > 0 {
			return fmt.Errorf("must be the name of a ConfigMap: %s", problems[0])
		}
		o.Overrides = value
		return nil
	})
	read(RespectPDB, flag(&o.RespectPDB))
	read(OrderedTeardown, flag(&o.OrderedTeardown))
	read(MaxUnavailableScale, func(value string) error {
		limit := intstr.Parse(value)
		n, err := intstr.GetScaledValueFromIntOrPercent(&limit, 100, false)
		if err != nil || n < 1 || limit.Type == intstr.String && n > 100 {
			return fmt.Errorf(`must be a number of at least 1 or a percentage from "1%%" to "100%%"`)
		}
		o.MaxUnavailableScale = &limit
		return nil
	})
	read(ProgressDeadlineSeconds, func(value string) error {
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || n < 1 {
			return fmt.Errorf("must be a number of seconds, at least 1")
		}
		o.ProgressDeadline = time.Duration(n) * time.Second
		return nil
	})
	return o, problems
}

func flag(to *bool) func(string) error {
	return func(value string) error {
		switch strings.ToLower(value) {
		case "true":
			*to = true
		case "false":
		default:
			return fmt.Errorf(`must be "true" or "false"`)
		}
		return nil
	}
}
