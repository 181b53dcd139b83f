package apiserver_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"berth.dev/berth/internal/apiserver/apitest"
)

// TestFirstWatchSeesWhatWasBeforeIt lists a kind that nobody has watched, lets
// things happen, and only then watches from the list.
func TestFirstWatchSeesWhatWasBeforeIt(t *testing.T) {
	e := apitest.Start(t)
	ctx := t.Context()
	classes := e.Client.StorageV1().StorageClasses()
	create := func(name string) {
		t.Helper()
		must[*storagev1.StorageClass](t)(classes.Create(ctx, &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: "example.com/x",
		}, metav1.CreateOptions{}))
	}
	create("a")
	list := must[*storagev1.StorageClassList](t)(classes.List(ctx, metav1.ListOptions{}))
	create("b")
	first := must[watch.Interface](t)(classes.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion}))
	defer first.Stop()
	second := must[watch.Interface](t)(classes.Watch(ctx, metav1.ListOptions{}))
	defer second.Stop()
	create("c")
	for _, c := range []struct {
		watch watch.Interface
		want  []string
	}{{first, []string{"b", "c"}}, {second, []string{"a", "b", "c"}}} {
		for _, want := range c.want {
			select {
			case got := <-c.watch.ResultChan():
				if class, ok := got.Object.(*storagev1.StorageClass); !ok || got.Type != watch.Added || class.Name != want {
					t.Errorf("got %v, want %s", got, want)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s did not come", want)
			}
		}
	}
	if got := must[*storagev1.StorageClassList](t)(classes.List(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})); len(got.Items) != 3 {
		t.Errorf("a list not older than the first: %d items", len(got.Items))
	}
}

// TestNewCacheHoldsUpNoOther lists a kind whose cache has to hear that it is up
// to date, right after the cache of another kind has begun and while nobody writes.
func TestNewCacheHoldsUpNoOther(t *testing.T) {
	e := apitest.Start(t)
	ctx := t.Context()
	classes := must[watch.Interface](t)(e.Client.StorageV1().StorageClasses().Watch(ctx, metav1.ListOptions{}))
	defer classes.Stop()
	must[*corev1.ConfigMap](t)(e.Client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{}))
	ingresses := must[watch.Interface](t)(e.Client.NetworkingV1().Ingresses(metav1.NamespaceAll).Watch(ctx, metav1.ListOptions{}))
	defer ingresses.Stop()
	initial := true
	fresh := must[watch.Interface](t)(e.Client.StorageV1().StorageClasses().Watch(ctx, metav1.ListOptions{
		SendInitialEvents: &initial, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
	}))
	defer fresh.Stop()
	for {
		select {
		case event := <-fresh.ResultChan():
			if event.Type == watch.Bookmark {
				return
			}
		case <-time.After(time.Minute):
			t.Fatal("the list was not confirmed within 10 s")
		}
	}
}
