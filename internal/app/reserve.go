package app

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"berth.dev/berth/internal/node/register"
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

// setThreshold sets one hard eviction threshold, named as the kubelet names it.
func setThreshold(e *register.Eviction, signal, text string) (err error) {
	switch signal {
	case "memory.available":
		e.MemoryAvailable, err = resource.ParseQuantity(text)
	case "nodefs.available":
		e.DiskAvailable, err = threshold(text)
	case "nodefs.inodesFree":
		e.InodesFree, err = percent(text)
	case "pid.available":
		e.PIDAvailable, err = percent(text)
	default:
		err = errors.New("unknown signal; use memory.available, nodefs.available, nodefs.inodesFree or pid.available")
	}
	return err
}

// threshold reads "10%" or "5Gi".
func threshold(text string) (register.Threshold, error) {
	if share, err := percent(text); err == nil {
		return register.Threshold{Share: share}, nil
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Sign() < 0 {
		return register.Threshold{}, errors.New("use an amount such as 5Gi or a part of the whole such as 10%")
	}
	return register.Threshold{Bytes: q.Value()}, nil
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
