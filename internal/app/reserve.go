package app

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"berth.dev/berth/internal/node"
	"berth.dev/berth/internal/node/register"
	"berth.dev/berth/internal/plan/evict"
)

// reservations are what pods may not have: the sum of --system-reserved and
// --kube-reserved, and the thresholds of --eviction-hard.
func (c Config) reservations() (corev1.ResourceList, *register.Eviction, error) {
	reserved := corev1.ResourceList{}
	var problems []error
	for flag, list := range map[string]map[string]string{"system-reserved": c.SystemReserved, "kube-reserved": c.KubeReserved} {
		for name, text := range list {
			q, err := resource.ParseQuantity(text)
			if err != nil {
				problems = append(problems, fmt.Errorf("--%s: %s=%q: %w", flag, name, text, err))
				continue
			}
			sum := reserved[corev1.ResourceName(name)]
			sum.Add(q)
			reserved[corev1.ResourceName(name)] = sum
		}
	}
	eviction := register.DefaultEviction()
	for signal, text := range c.EvictionHard {
		if err := setThreshold(eviction, signal, text); err != nil {
			problems = append(problems, fmt.Errorf("--eviction-hard: %s=%q: %w", signal, text, err))
		}
	}
	return reserved, eviction, errors.Join(problems...)
}

// evicting is how pods are evicted: the hard thresholds with the soft ones.
func (c Config) evicting(hard *register.Eviction) (evict.Config, error) {
	out := evict.Config{Thresholds: hard.Thresholds(), Transition: c.EvictionTransition, MaxGrace: int64(c.EvictionMaxGrace)}
	var problems []error
	bad := func(flag, signal, text string, err error) {
		problems = append(problems, fmt.Errorf("--%s: %s=%q: %w", flag, signal, text, err))
	}
	for _, signal := range slices.Sorted(maps.Keys(c.EvictionSoft)) {
		text := c.EvictionSoft[signal]
		least, err := amountOf(signal, text)
		if err != nil {
			bad("eviction-soft", signal, text, err)
			continue
		}
		grace, err := time.ParseDuration(c.EvictionSoftGrace[signal])
		if err != nil || grace <= 0 {
			bad("eviction-soft-grace-period", signal, c.EvictionSoftGrace[signal], errors.New("a soft threshold needs a time such as 1m30s"))
			continue
		}
		out.Thresholds = append(out.Thresholds, evict.Threshold{Signal: evict.Signal(signal), Least: least, Grace: grace})
	}
	for _, signal := range slices.Sorted(maps.Keys(c.EvictionReclaim)) {
		text := c.EvictionReclaim[signal]
		more, err := amountOf(signal, text)
		if err != nil {
			bad("eviction-minimum-reclaim", signal, text, err)
		}
		for i := range out.Thresholds {
			if string(out.Thresholds[i].Signal) == signal {
				out.Thresholds[i].Reclaim = more
			}
		}
	}
	out.Thresholds = evict.Allocatable(out.Thresholds)
	return out, errors.Join(problems...)
}

// amountOf reads "10%" or "5Gi" of something that a node can run out of.
func amountOf(signal, text string) (evict.Amount, error) {
	if !slices.Contains(evict.Signals, evict.Signal(signal)) {
		return evict.Amount{}, errSignal
	}
	return amount(text)
}

var errSignal = errors.New("unknown signal; use memory.available, nodefs.available, nodefs.inodesFree or pid.available")

// setThreshold sets one hard eviction threshold, named as the kubelet names it.
func setThreshold(e *register.Eviction, signal, text string) (err error) {
	switch signal {
	case "memory.available":
		e.MemoryAvailable, err = resource.ParseQuantity(text)
	case "nodefs.available":
		e.DiskAvailable, err = amount(text)
	case "nodefs.inodesFree":
		e.InodesFree, err = percent(text)
	case "pid.available":
		e.PIDAvailable, err = percent(text)
	default:
		err = errSignal
	}
	return err
}

// amount reads "10%" or "5Gi".
func amount(text string) (evict.Amount, error) {
	if share, err := percent(text); err == nil {
		return evict.Amount{Share: share}, nil
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Sign() < 0 {
		return evict.Amount{}, errors.New("use an amount such as 5Gi or a part of the whole such as 10%")
	}
	return evict.Amount{Count: q.Value()}, nil
}

// percent reads "10%" as 0.1.
func percent(text string) (float64, error) {
	number, ok := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || n < 0 || n > 100 {
		return 0, errors.New("use a part of the whole such as 10%")
	}
	return n / 100, nil
}

// observe looks at the machine, and where memory is reserved also at what pods
// have left of the rest.
func (a *agent) observe(pods *node.Agent) map[evict.Signal]evict.Observation {
	seen := register.Observe(a.dir.Path())
	if a.reserved <= 0 {
		return seen
	}
	if used, err := pods.Memory(); err == nil {
		most := seen[evict.MemoryAvailable].Capacity - a.reserved
		seen[evict.AllocatableMemory] = evict.Observation{Available: most - used, Capacity: most}
	}
	return seen
}
