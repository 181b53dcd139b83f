package volume

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/volume"
)

// node is one node's volumes on a fake API server.
type node struct {
	*Volumes
	client   *fake.Clientset
	watching chan string // kind of each watch that was opened
	tokens   atomic.Int32
	changes  chan types.UID
}

// start runs a node; change may alter its configuration.
func start(t *testing.T, change func(*Config), objects ...runtime.Object) *node {
	t.Helper()
	n := &node{client: fake.NewClientset(objects...), watching: make(chan string, 100), changes: make(chan types.UID, 100)}
	n.client.PrependWatchReactor("*", func(action clienttesting.Action) (bool, watch.Interface, error) {
		w, err := n.client.Tracker().Watch(action.GetResource(), action.GetNamespace())
		n.watching <- action.GetResource().Resource
		return true, w, err
	})
	n.client.PrependReactor("create", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetSubresource() != "token" {
			return false, nil, nil
		}
		request := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenRequest)
		return true, n.issue(request), nil
	})
	cfg := Config{
		Root: filepath.Join(t.TempDir(), "kubelet"), VolumesDir: filepath.Join(t.TempDir(), "volumes"), Client: n.client,
		Node: func() *corev1.Node {
			return &corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"kubernetes.io/hostname": "n1"}},
				Status:     corev1.NodeStatus{Allocatable: corev1.ResourceList{"cpu": resource.MustParse("2"), "memory": resource.MustParse("1Gi")}},
			}
		},
		Changed:     func(uid types.UID) { n.changes <- uid },
		Begun:       n.begun,
		missingWait: 30 * time.Millisecond, claimWait: 300 * time.Millisecond, syncWait: time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	n.Volumes = New(cfg)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = unmountUnder(cfg.Root)
	})
	return n
}

func (n *node) begun(ctx context.Context, pv *corev1.PersistentVolume) error {
	changed := pv.DeepCopy()
	delete(changed.Annotations, volume.LocalBegin)
	_, err := n.client.CoreV1().PersistentVolumes().Update(ctx, changed, metav1.UpdateOptions{})
	return err
}

func (n *node) now() time.Time {
	return n.cfg.Clock.Now()
}

// issue makes a token as the API server does, without a signature.
func (n *node) issue(request *authenticationv1.TokenRequest) *authenticationv1.TokenRequest {
	count := n.tokens.Add(1)
	life := time.Hour
	if s := request.Spec.ExpirationSeconds; s != nil {
		life = time.Duration(*s) * time.Second
	}
	expires := n.now().Add(life)
	claims, _ := json.Marshal(map[string]any{
		"iat": n.now().Unix(), "exp": expires.Unix(), "aud": request.Spec.Audiences, "n": count,
		"kubernetes.io": map[string]any{"pod": map[string]any{"uid": request.Spec.BoundObjectRef.UID}},
	})
	request.Status.Token = "e30." + base64.RawURLEncoding.EncodeToString(claims) + ".sig"
	request.Status.ExpirationTimestamp = metav1.NewTime(expires)
	return request
}

// pod makes a pod that mounts these volumes.
func pod(uid string, volumes ...corev1.Volume) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: types.UID(uid)}}
	c := corev1.Container{Name: "c"}
	for _, v := range volumes {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: "/" + v.Name})
	}
	p.Spec.Volumes, p.Spec.Containers = volumes, []corev1.Container{c}
	return p
}

func volumeOf(name string, src corev1.VolumeSource) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: src}
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}, Data: data}
}

func fromMap(name string) corev1.VolumeSource {
	return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}
}

// soon waits for something that an event brings about.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("within 2 s: %s", what)
}

func TestConfigMapIsUpdatedLive(t *testing.T) {
	n := start(t, nil, configMap("cm", map[string]string{"a": "1", "b": "2"}))
	p := pod("u1", volumeOf("v", fromMap("cm")))
	paths, err := n.Setup(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(n.PodDir("u1"), "volumes/kubernetes.io~configmap/v"); paths["v"] != want {
		t.Errorf("path %s, want %s", paths["v"], want)
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "2"}, read(t, paths["v"])); diff != "" {
		t.Error(diff)
	}
	<-n.watching
	if _, err := n.client.CoreV1().ConfigMaps("ns").Update(t.Context(), configMap("cm", map[string]string{"a": "3", "c": "4"}), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	soon(t, "the new data are seen", func() bool {
		got, err := look(paths["v"])
		return err == nil && cmp.Equal(got, map[string]string{"a": "3", "c": "4"})
	})
	// A deleted ConfigMap leaves a running pod its files.
	if err := n.client.CoreV1().ConfigMaps("ns").Delete(t.Context(), "cm", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if diff := cmp.Diff(map[string]string{"a": "3", "c": "4"}, read(t, paths["v"])); diff != "" {
		t.Error(diff)
	}
	if err := n.TearDown(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	n.follows.mu.Lock()
	defer n.follows.mu.Unlock()
	if len(n.follows.byRef) != 0 {
		t.Error("a watch goes on for a pod that is gone")
	}
}

func TestMissingObjects(t *testing.T) {
	n := start(t, nil, configMap("cm", map[string]string{"a": "1"}))
	for _, tc := range []struct {
		name string
		src  corev1.VolumeSource
		want string
	}{
		{"ConfigMap", fromMap("nope"), `MountVolume.SetUp failed for volume "v" : configmap "nope" not found`},
		{"Secret", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "nope"}}, `MountVolume.SetUp failed for volume "v" : secret "nope" not found`},
		{"key", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}, Items: []corev1.KeyToPath{{Key: "z", Path: "z"}},
		}}, `MountVolume.SetUp failed for volume "v" : references non-existent config key: z`},
		{"optional", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "nope"}, Optional: ptr.To(true),
		}}, ""},
		{"no plugin", corev1.VolumeSource{Glusterfs: &corev1.GlusterfsVolumeSource{}}, `MountVolume.SetUp failed for volume "v" : no volume plugin matched`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := n.Setup(t.Context(), pod("u-"+strings.ToLower(strings.ReplaceAll(tc.name, " ", "")), volumeOf("v", tc.src)))
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || err.Error() != tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	t.Run("unmounted volumes do not matter", func(t *testing.T) {
		p := pod("u9")
		p.Spec.Volumes = []corev1.Volume{volumeOf("v", fromMap("nope"))}
		if paths, err := n.Setup(t.Context(), p); err != nil || len(paths) != 0 {
			t.Error(paths, err)
		}
	})
}

// A pod that waits for its ConfigMap hears of it at once.
func TestMissingObjectAppears(t *testing.T) {
	n := start(t, nil)
	p := pod("u1", volumeOf("v", fromMap("late")))
	if _, err := n.Setup(t.Context(), p); !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	<-n.watching
	if _, err := n.client.CoreV1().ConfigMaps("ns").Create(t.Context(), configMap("late", map[string]string{"a": "1"}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case uid := <-n.changes:
		if uid != "u1" {
			t.Errorf("woke %s", uid)
		}
	case <-time.After(time.Minute):
		t.Fatal("nobody was told")
	}
	if _, err := n.Setup(t.Context(), p); err != nil {
		t.Error(err)
	}
}

func projectedToken(expiration int64) corev1.VolumeSource {
	return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: ptr.To[int32](0o644), Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &expiration}},
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}}}},
	}}}
}

func TestTokenIsKeptAndRenewed(t *testing.T) {
	needsMounts(t)
	clk := clocktesting.NewFakeClock(time.Now())
	n := start(t, func(cfg *Config) { cfg.Clock = clk }, configMap("kube-root-ca.crt", map[string]string{"ca.crt": "CA"}))
	p := pod("u1", volumeOf("kube-api-access", projectedToken(3607)))
	paths, err := n.Setup(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	dir := paths["kube-api-access"]
	got := read(t, dir)
	first := got["token"]
	if got["ca.crt"] != "CA" || got["namespace"] != "ns" || first == "" {
		t.Errorf("got %v", got)
	}
	if !isMountPoint(dir) {
		t.Error("a token is on the disk")
	}
	// Again, and after a restart of the agent: the same token.
	if _, err := n.Setup(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	again := New(n.cfg)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- again.Run(ctx) }()
	if _, err := again.Setup(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	stop()
	<-ended
	if read(t, dir)["token"] != first || n.tokens.Load() != 1 {
		t.Errorf("%d tokens were asked for", n.tokens.Load())
	}
	// At 80 % of its life it is replaced by itself.
	clk.Step(2880 * time.Second)
	time.Sleep(50 * time.Millisecond)
	if read(t, dir)["token"] != first {
		t.Error("renewed too early")
	}
	clk.Step(10 * time.Second)
	soon(t, "the token is renewed", func() bool {
		got, err := look(dir)
		return err == nil && got["token"] != first
	})
}

func TestTokenFileBelongsToThePodsOnlyUser(t *testing.T) {
	needsMounts(t)
	n := start(t, nil, configMap("kube-root-ca.crt", map[string]string{"ca.crt": "CA"}))
	p := pod("u1", volumeOf("t", projectedToken(3600)))
	p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](1001), FSGroup: ptr.To[int64](2002)}
	paths, err := n.Setup(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	check(t, filepath.Join(paths["t"], "token"), 0o640, 1001, 2002)
	check(t, filepath.Join(paths["t"], "ca.crt"), 0o644, 0, 2002)
	if changed, _ := writeAtomic(paths["t"], mustFiles(t, n, p), fsGroup(p), time.Now()); changed {
		t.Error("the same files were written again")
	}
}

func mustFiles(t *testing.T, n *node, p *corev1.Pod) map[string]file {
	t.Helper()
	vol := p.Spec.Volumes[0]
	files, _, err := n.files(t.Context(), p, vol, n.path(p.UID, contentPlugin(vol), vol.Name))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestPodGoneWhileItsSetupWaits(t *testing.T) {
	n := start(t, func(cfg *Config) { cfg.claimWait = time.Hour })
	p := pod("u1", volumeOf("v", corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "never"}}))
	waiting := make(chan error)
	go func() {
		_, err := n.Setup(t.Context(), p)
		waiting <- err
	}()
	soon(t, "the setup has begun", func() bool { _, err := os.Stat(n.PodDir("u1")); return err == nil })
	if err := n.TearDown(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err == nil {
		t.Error("a setup went through though its pod is gone")
	}
	if _, err := os.Stat(n.PodDir("u1")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the directory is back")
	}
}

func TestRefusedTokenIsAskedForAgain(t *testing.T) {
	needsMounts(t)
	n := start(t, func(cfg *Config) { cfg.missingWait = time.Second }, configMap("kube-root-ca.crt", map[string]string{"ca.crt": "CA"}))
	refusals := 3
	n.client.PrependReactor("create", "serviceaccounts", func(clienttesting.Action) (bool, runtime.Object, error) {
		if refusals--; refusals >= 0 {
			return true, nil, apierrors.NewForbidden(corev1.Resource("serviceaccounts/token"), "default", errors.New("no relationship found"))
		}
		return false, nil, nil
	})
	if _, err := n.Setup(t.Context(), pod("u1", volumeOf("t", projectedToken(3600)))); err != nil {
		t.Error(err)
	}
}
