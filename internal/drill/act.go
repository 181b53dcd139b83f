package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/app"
	plan "berth.dev/berth/internal/plan/drill"
	"berth.dev/berth/internal/teardown"
)

// act breaks what the drill is about, and returns what it broke and how it is
// known that this was noticed.
func (r *Run) act(ctx context.Context) (what []string, noticed func(plan.Subject) bool, err error) {
	switch r.Kind.Name {
	case plan.Container, plan.Pod:
		return r.killPod()
	case plan.Delete:
		return []string{"pod " + r.pod.Name}, r.others(r.pod.Name), r.delete(ctx, r.pod.Name)
	case plan.Restart:
		return r.restart(ctx)
	case plan.Berth, plan.Containerd, plan.Machine:
		return r.killProgram()
	case plan.Image:
		return []string{r.container + ": " + r.Image}, r.others(r.names()...), r.roll(ctx, r.Image)
	case plan.BadImage:
		return r.badImage(ctx)
	}
	return nil, nil, fmt.Errorf("drill %q", r.Kind.Name)
}

// others is when none of these pods has a container that it had.
func (r *Run) others(pods ...string) func(plan.Subject) bool {
	return func(s plan.Subject) bool {
		return !slices.ContainsFunc(pods, func(name string) bool { return !s.Others(r.before, name, "") })
	}
}

func (r *Run) killPod() ([]string, func(plan.Subject) bool, error) {
	id, container, what := "", "", "pod "+r.pod.Name
	if r.Kind.Name == plan.Container {
		container, what = r.container, "container "+r.container+" of pod "+r.pod.Name
		for _, c := range r.pod.Status.ContainerStatuses {
			if c.Name == container {
				id = runtimeID(c.ContainerID)
			}
		}
		if id == "" {
			return nil, nil, fmt.Errorf("%s: it does not run", what)
		}
	}
	all, err := inPod(r.Dir, string(r.pod.UID), id)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s: none of its processes is on this machine; it runs on node %s", what, r.pod.Spec.NodeName)
	}
	if err != nil {
		return nil, nil, err
	}
	return []string{what}, func(s plan.Subject) bool { return s.Others(r.before, r.pod.Name, container) }, kill(all)
}

// killProgram kills berth or containerd, or all that runs.
func (r *Run) killProgram() ([]string, func(plan.Subject) bool, error) {
	holder := app.Holder(r.Dir)
	if holder == 0 {
		return nil, nil, fmt.Errorf("berth does not run with the data directory %s", r.Dir.Path())
	}
	berth := func(pid int, _ []string, _ string) bool { return pid == holder }
	runtime := func(_ int, words []string, _ string) bool { return isRuntime(words, r.Dir) }
	shims := teardown.Shims(r.Dir)
	pods := func(pid int, _ []string, groups string) bool {
		return slices.Contains(shims, pid) || within(groups, r.Dir)
	}
	var all []process
	victims := func(match func(int, []string, string) bool) error {
		found, err := processes(match)
		all = append(all, found...)
		return err
	}
	var err error
	var what string
	noticed := func(plan.Subject) bool {
		now := app.Holder(r.Dir)
		return now != 0 && now != holder
	}
	switch r.Kind.Name {
	case plan.Berth:
		what, err = fmt.Sprintf("berth (pid %d)", holder), victims(berth)
	case plan.Containerd:
		err = victims(runtime)
		if err == nil && len(all) == 0 {
			err = errors.New("containerd does not run")
		}
		what = fmt.Sprintf("containerd %v", pids(all))
		old := pids(all)
		noticed = func(plan.Subject) bool {
			now, err := processes(runtime)
			release(now)
			return err == nil && slices.ContainsFunc(pids(now), func(pid int) bool { return !slices.Contains(old, pid) })
		}
	default:
		// In this order: whoever could mend it first.
		err = errors.Join(victims(berth), victims(runtime), victims(pods))
		what = fmt.Sprintf("all %d processes", len(all))
		here, restarted := r.here(), noticed
		noticed = func(s plan.Subject) bool { return restarted(s) && r.others(here...)(s) }
	}
	if err != nil {
		release(all)
		return nil, nil, err
	}
	return []string{what}, noticed, kill(all)
}

func pids(all []process) []int {
	list := make([]int, 0, len(all))
	for _, p := range all {
		list = append(list, p.pid)
	}
	return list
}

// here are the set's pods that run on this machine.
func (r *Run) here() []string {
	var names []string
	for _, p := range r.before.Pods {
		found, err := inPod(r.Dir, string(p.UID), "")
		release(found)
		if err == nil && len(found) > 0 {
			names = append(names, p.Name)
		}
	}
	return names
}

func (r *Run) delete(ctx context.Context, pod string) error {
	return r.Client.CoreV1().Pods(r.Namespace).Delete(ctx, pod, metav1.DeleteOptions{})
}

func (r *Run) restart(ctx context.Context) (what []string, noticed func(plan.Subject) bool, err error) {
	names := r.names()
	r.shuffle(names)
	for i, name := range names {
		if i > 0 {
			if err := r.until(ctx, func(s plan.Subject) bool { return s.Whole() == nil && s.Others(r.before, names[i-1], "") }); err != nil {
				return what, nil, err
			}
		}
		if err := r.delete(ctx, name); err != nil {
			return what, nil, err
		}
		what = append(what, "pod "+name)
	}
	return what, r.others(names...), nil
}

// roll gives the set's template another image.
func (r *Run) roll(ctx context.Context, image string) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
		"containers": []map[string]string{{"name": r.container, "image": image}},
	}}}})
	if err != nil {
		return err
	}
	_, err = r.Client.AppsV1().StatefulSets(r.Namespace).Patch(ctx, r.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "berth-drill"})
	return err
}

// badImage rolls out an image that cannot be had and goes back, whatever happens
// in between.
func (r *Run) badImage(ctx context.Context) (what []string, noticed func(plan.Subject) bool, err error) {
	if err := r.roll(ctx, plan.NoImage); err != nil {
		return nil, nil, err
	}
	var stuck []string
	err = r.until(ctx, func(s plan.Subject) bool {
		stuck = nil
		for _, p := range s.Stuck(plan.NoImage) {
			stuck = append(stuck, p.Name)
		}
		return len(stuck) > 0
	})
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), undo)
	defer cancel()
	if failed := r.again(back, func() error { return r.roll(back, r.image) }); failed != nil {
		return nil, nil, errors.Join(err, fmt.Errorf("the set is left with the image %s: %w; put %s back", plan.NoImage, failed, r.image))
	}
	r.Say("rolled back to %s", r.image)
	return []string{r.container + ": " + plan.NoImage + ", for which " + fmt.Sprint(stuck) + " waited, and back"}, r.others(stuck...), err
}
