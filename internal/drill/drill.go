// Package drill breaks parts of a cluster on purpose and watches a StatefulSet
// until it is whole again. What may be broken, and what is said of it, is decided by
// internal/plan/drill.
package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/internal/base/datadir"
	plan "berth.dev/berth/internal/plan/drill"
)

const (
	// look is how often the set is looked at: the report is as exact as that.
	look = 200 * time.Millisecond
	// question is how long one answer of the API may take.
	question = 5 * time.Second
	// undo is how long is tried to take a change back.
	undo = 2 * time.Minute
)

// Drill is what is to be done.
type Drill struct {
	Kind            plan.Kind
	Client          kubernetes.Interface
	Dir             datadir.Dir
	Namespace, Name string
	// Pod is the one that is picked, at random if it is empty; Container the first if it is.
	Pod, Container string
	// Image is what kind image rolls to.
	Image string
	// Timeout is how long the set may take to be whole again.
	Timeout time.Duration
	// Seed is what is chosen at random by.
	Seed uint64
	// Say tells what happens, while it does.
	Say func(format string, a ...any)
}

// Run is a drill that may begin.
type Run struct {
	Drill
	random    *rand.Rand
	before    plan.Subject
	claims    plan.Claims
	pod       *corev1.Pod
	container string
	image     string
	record    *plan.Record
}

// Prepare looks whether the drill may begin, and changes nothing.
func (d Drill) Prepare(ctx context.Context) (*Run, error) {
	r := &Run{Drill: d, random: rand.New(rand.NewPCG(d.Seed, d.Seed))} //nolint:gosec // not for secrets
	var err error
	if r.before, err = r.see(ctx); err != nil {
		return nil, err
	}
	if err := r.before.Refuse(d.Kind, d.Pod); err != nil {
		return nil, fmt.Errorf("statefulset %s/%s: %w", d.Namespace, d.Name, err)
	}
	if r.container, r.image, err = r.before.Image(d.Container); err != nil {
		return nil, err
	}
	if d.Kind.Name == plan.Image && (d.Image == "" || d.Image == r.image) {
		return nil, fmt.Errorf("drill image needs --image with another one than %s", r.image)
	}
	if r.claims, err = r.claimsNow(ctx); err != nil {
		return nil, err
	}
	names := r.names()
	name := d.Pod
	if name == "" {
		name = names[r.random.IntN(len(names))]
	}
	r.pod = &r.before.Pods[slices.Index(names, name)]
	return r, nil
}

// Plan says what will be done.
func (r *Run) Plan() string {
	var b strings.Builder
	fmt.Fprintf(&b, "drill %s on statefulset %s/%s (%d pods): %s.\n", r.Kind.Name, r.Namespace, r.Name, len(r.before.Pods), r.Kind.Does)
	switch {
	case r.Kind.Name == plan.Container:
		fmt.Fprintf(&b, "The container is %s of pod %s.\n", r.container, r.pod.Name)
	case r.Kind.One:
		fmt.Fprintf(&b, "The pod is %s.\n", r.pod.Name)
	case r.Kind.Name == plan.Image:
		fmt.Fprintf(&b, "Container %s: %s -> %s.\n", r.container, r.image, r.Image)
	case r.Kind.Name == plan.BadImage:
		fmt.Fprintf(&b, "Container %s: %s -> %s -> %s.\n", r.container, r.image, plan.NoImage, r.image)
	}
	if r.Kind.Beyond != "" {
		fmt.Fprintf(&b, "Beyond the set: %s.\n", r.Kind.Beyond)
	}
	return b.String()
}

// Do does it, and returns when the set is whole again or the time is up.
func (r *Run) Do(ctx context.Context) (plan.Report, error) {
	timed, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	r.record = plan.Begin(time.Now())
	what, noticed, err := r.act(timed)
	if err == nil {
		r.Say("broken: %s; waiting until the set is whole again", strings.Join(what, ", "))
		err = r.until(timed, func(s plan.Subject) bool { return noticed(s) && s.Whole() == nil })
	}
	if err == nil {
		r.record.Done(time.Now())
	} else if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return plan.Report{}, err
	}
	last, cancel := context.WithTimeout(ctx, undo)
	defer cancel()
	after, claims := r.before, plan.Claims(nil)
	if err := r.again(last, func() (err error) {
		if after, err = r.see(last); err == nil {
			claims, err = r.claimsNow(last)
		}
		return err
	}); err != nil {
		return plan.Report{}, fmt.Errorf("what became of it cannot be seen: %w", err)
	}
	return r.record.Report(r.Kind.Name, what, r.before, after, r.claims, claims), nil
}

// shuffle puts names into an order of the seed.
func (r *Run) shuffle(names []string) {
	r.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
}

// until looks at the set until it is as wanted, and keeps a record of what it sees.
func (r *Run) until(ctx context.Context, want func(plan.Subject) bool) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		s, err := r.see(ctx)
		if err == nil {
			r.record.See(time.Now(), &s)
			if want(s) {
				return nil
			}
		} else if ctx.Err() == nil {
			r.record.See(time.Now(), nil)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// again does what the API may be away for.
func (r *Run) again(ctx context.Context, do func() error) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		err := do()
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// see reads the set and its pods, in the order of their ordinals.
func (r *Run) see(ctx context.Context) (plan.Subject, error) {
	ctx, cancel := context.WithTimeout(ctx, question)
	defer cancel()
	set, err := r.Client.AppsV1().StatefulSets(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
	if err != nil {
		return plan.Subject{}, err
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return plan.Subject{}, err
	}
	pods, err := r.Client.CoreV1().Pods(r.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return plan.Subject{}, err
	}
	s := plan.Subject{Set: set}
	for _, p := range pods.Items {
		if owner := metav1.GetControllerOf(&p); owner != nil && owner.UID == set.UID {
			s.Pods = append(s.Pods, p)
		}
	}
	slices.SortFunc(s.Pods, func(a, b corev1.Pod) int { // by ordinal: shorter names first
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return s, nil
}

func (r *Run) claimsNow(ctx context.Context) (plan.Claims, error) {
	ctx, cancel := context.WithTimeout(ctx, question)
	defer cancel()
	list, err := r.Client.CoreV1().PersistentVolumeClaims(r.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	used := plan.Claims{}
	for _, c := range list.Items {
		for _, p := range r.before.Pods {
			if slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool {
				return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == c.Name
			}) {
				used[c.Name] = c.UID
			}
		}
	}
	return used, nil
}

// names are the pods', as they were before.
func (r *Run) names() []string {
	var all []string
	for _, p := range r.before.Pods {
		all = append(all, p.Name)
	}
	return all
}

// runtimeID is what a container is called by the runtime: without "containerd://".
func runtimeID(id string) string {
	_, name, _ := strings.Cut(id, "://")
	return name
}
