package volume

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/volume"
)

// check wants a file's mode and owners.
func check(t *testing.T, path string, mode os.FileMode, uid, gid uint32) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
		return
	}
	st := info.Sys().(*syscall.Stat_t)
	if info.Mode() != mode || st.Uid != uid || st.Gid != gid {
		t.Errorf("%s: %v %d:%d, want %v %d:%d", path, info.Mode(), st.Uid, st.Gid, mode, uid, gid)
	}
}

func TestEmptyDir(t *testing.T) {
	needsMounts(t)
	n := start(t, nil)
	defer syscall.Umask(syscall.Umask(0o077))
	p := pod("u1",
		volumeOf("disk", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}),
		volumeOf("memory", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: ptr.To(resource.MustParse("1Mi"))}}))
	paths, err := n.Setup(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	check(t, paths["disk"], os.ModeDir|0o777, 0, 0)
	check(t, paths["memory"], os.ModeDir|os.ModeSticky|0o777, 0, 0)
	if !strings.HasSuffix(paths["disk"], "/pods/u1/volumes/kubernetes.io~empty-dir/disk") {
		t.Error(paths["disk"])
	}
	if err := os.WriteFile(filepath.Join(paths["memory"], "big"), make([]byte, 2<<20), 0o600); err == nil {
		t.Error("the size limit does not hold")
	}
	// Setting up again, also by a new agent, leaves the pod's files and modes alone.
	tree(t, paths["disk"], "mine")
	if err := os.Chmod(paths["disk"], 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Setup(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	check(t, paths["disk"], os.ModeDir|0o700, 0, 0)
	if points, _ := mountsUnder(n.PodDir("u1")); len(points) != 1 {
		t.Errorf("mounts %v", points)
	}
	// A reboot takes memory away: it is mounted again.
	if err := unmountUnder(paths["memory"]); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Setup(t.Context(), p); err != nil || !isMountPoint(paths["memory"]) {
		t.Error(err)
	}
}

func TestMemorySize(t *testing.T) {
	n := start(t, nil) // 1Gi allocatable
	p := pod("u1")
	limit := func(s string) *resource.Quantity { return ptr.To(resource.MustParse(s)) }
	if got := n.memorySize(p, nil); got != 1<<30 {
		t.Error(got)
	}
	if got := n.memorySize(p, limit("2Gi")); got != 1<<30 {
		t.Error(got)
	}
	p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"memory": resource.MustParse("64Mi")}
	if got := n.memorySize(p, limit("100Mi")); got != 64<<20 {
		t.Error(got)
	}
	if got := n.memorySize(p, limit("10Mi")); got != 10<<20 {
		t.Error(got)
	}
}

func TestHostPath(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, "file", "dir/", "link -> dir")
	socket, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, tc := range []struct {
		path string
		kind corev1.HostPathType
		err  string
	}{
		{at("nothing"), corev1.HostPathUnset, ""},
		{at("file"), corev1.HostPathDirectory, "hostPath type check failed: " + at("file") + " is not a directory"},
		{at("nothing"), corev1.HostPathDirectory, "hostPath type check failed: " + at("nothing") + " is not a directory"},
		{at("dir"), corev1.HostPathDirectory, ""},
		{at("link"), corev1.HostPathDirectory, ""},
		{at("dir"), corev1.HostPathFile, "hostPath type check failed: " + at("dir") + " is not a file"},
		{at("file"), corev1.HostPathFile, ""},
		{at("new/deep"), corev1.HostPathDirectoryOrCreate, ""},
		{at("new/file"), corev1.HostPathFileOrCreate, ""},
		{at("file"), corev1.HostPathSocket, "hostPath type check failed: " + at("file") + " is not a socket file"},
		{at("socket"), corev1.HostPathSocket, ""},
		{"/dev/null", corev1.HostPathCharDev, ""},
		{"/dev/null", corev1.HostPathBlockDev, "hostPath type check failed: /dev/null is not a block device"},
		{at("file"), corev1.HostPathCharDev, "hostPath type check failed: " + at("file") + " is not a character device"},
		{"/a/../b", corev1.HostPathUnset, "invalid HostPath `/a/../b`: must not contain '..'"},
		{at("file"), "Nonsense", "Nonsense is an invalid volume type"},
	} {
		_, err := hostPath(&corev1.HostPathVolumeSource{Path: tc.path, Type: &tc.kind})
		if tc.err == "" && err != nil || tc.err != "" && (err == nil || err.Error() != tc.err) {
			t.Errorf("%s %s: got %v, want %s", tc.kind, tc.path, err, tc.err)
		}
	}
	for name, mode := range map[string]os.FileMode{"new/deep": os.ModeDir | 0o755, "new/file": 0o644} {
		if info, err := os.Stat(at(name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
}

func TestDownward(t *testing.T) {
	n := start(t, nil)
	p := pod("u1")
	p.Labels = map[string]string{"b": "2", "a": `say "hi"`}
	p.Annotations = map[string]string{"note": "two\nlines"}
	p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"memory": resource.MustParse("100M")}
	field := func(path string) corev1.DownwardAPIVolumeFile {
		return corev1.DownwardAPIVolumeFile{Path: "f", FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	res := func(name, divisor string) corev1.DownwardAPIVolumeFile {
		return corev1.DownwardAPIVolumeFile{Path: "f", ResourceFieldRef: &corev1.ResourceFieldSelector{ContainerName: "c", Resource: name, Divisor: resource.MustParse(divisor)}}
	}
	for _, tc := range []struct {
		item corev1.DownwardAPIVolumeFile
		want string
	}{
		{field("metadata.name"), "p"},
		{field("metadata.uid"), "u1"},
		{field("metadata.labels"), "a=\"say \\\"hi\\\"\"\nb=\"2\""},
		{field("metadata.annotations['note']"), "two\nlines"},
		{field("metadata.labels['none']"), ""},
		{res("limits.memory", "1Mi"), "96"},
		{res("limits.memory", "0"), "100000000"},
		{res("limits.cpu", "1m"), "2000"},
		{res("requests.cpu", "0"), "0"},
	} {
		files := map[string]file{}
		if err := n.addDownward(files, p, []corev1.DownwardAPIVolumeFile{tc.item}, 0o644); err != nil || string(files["f"].data) != tc.want {
			t.Errorf("%v: got %q, %v, want %q", tc.item, files["f"].data, err, tc.want)
		}
	}
	for _, item := range []corev1.DownwardAPIVolumeFile{field("spec.nodeName"), res("limits.bananas", "0"), {Path: "f"}} {
		if err := n.addDownward(map[string]file{}, p, []corev1.DownwardAPIVolumeFile{item}, 0o644); err == nil {
			t.Errorf("%v was accepted", item)
		}
	}
}

func claimVolume(name string) corev1.Volume {
	return volumeOf("www", corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}})
}

func bound(name, pv string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", UID: "claim-uid", ResourceVersion: "7"},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: pv},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	}
}

func localPV(name, path, host string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			ClaimRef:               &corev1.ObjectReference{UID: "claim-uid"},
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "kubernetes.io/hostname", Operator: corev1.NodeSelectorOpIn, Values: []string{host}}},
			}}}},
		},
	}
}

// unused is a provisioned volume as it is before its first pod.
func unused(pv *corev1.PersistentVolume) *corev1.PersistentVolume {
	pv.Annotations = map[string]string{volume.LocalBegin: volume.LocalBeginEmpty}
	return pv
}

func TestClaim(t *testing.T) {
	n := start(t, nil)
	path := filepath.Join(n.cfg.VolumesDir, "pv1")
	unbound := bound("unbound", "")
	unbound.Status.Phase = corev1.ClaimPending
	dying := bound("dying", "pv1")
	dying.DeletionTimestamp, dying.Finalizers = &metav1.Time{Time: time.Now()}, []string{"kubernetes.io/pvc-protection"}
	stolen := localPV("stolen", path, "n1")
	stolen.Spec.ClaimRef.UID = "other"
	block := localPV("block", path, "n1")
	block.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock)
	add := func(o ...*corev1.PersistentVolumeClaim) {
		for _, pvc := range o {
			if err := n.client.Tracker().Add(pvc); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(bound("www-0", "pv1"), unbound, dying, bound("c-stolen", "stolen"), bound("c-block", "block"), bound("c-far", "far"), bound("c-gone", "gone"), bound("c-nopath", "nopath"))
	for _, pv := range []*corev1.PersistentVolume{unused(localPV("pv1", path, "n1")), stolen, block, localPV("far", path, "n2"), localPV("nopath", "/no/such/dir", "n1")} {
		if err := n.client.Tracker().Add(pv); err != nil {
			t.Fatal(err)
		}
	}
	const prefix = "Unable to attach or mount volumes: unmounted volumes=[www], unattached volumes=[], failed to process volumes=[www]: error processing PVC ns/"
	for claim, want := range map[string]string{
		"www-0":    "",
		"unbound":  prefix + "unbound: PVC is not bound",
		"dying":    prefix + "dying: PVC is being deleted",
		"none":     prefix + `none: failed to fetch PVC from API server: persistentvolumeclaims "none" not found`,
		"c-stolen": prefix + "c-stolen: found PV object stolen but its pv.Spec.ClaimRef.UID other does not point to claim.UID claim-uid",
		"c-block":  prefix + "c-block: volume www has volumeMode Block, but is specified in volumeMounts",
		"c-gone":   prefix + `c-gone: failed to fetch PV gone from API server: persistentvolumes "gone" not found`,
		"c-far":    `MountVolume.NodeAffinity check failed for volume "far" : no matching NodeSelectorTerms`,
		"c-nopath": `MountVolume.NewMounter initialization failed for volume "nopath" : path "/no/such/dir" does not exist`,
	} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			paths, err := n.Setup(t.Context(), pod("u-"+claim, claimVolume(claim)))
			if want == "" {
				if err != nil || paths["www"] != path {
					t.Fatal(paths, err)
				}
				check(t, path, os.ModeDir|0o777, 0, 0)
				if got := n.Files("u-" + types.UID(claim))["www"]; got != (Files{Path: path, Whole: true, Claim: claim}) {
					t.Errorf("measured as %+v", got)
				}
			} else if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// A claim that becomes bound while a pod waits is seen at once, by its watch.
func TestClaimIsBoundLater(t *testing.T) {
	n := start(t, func(cfg *Config) { cfg.claimWait = time.Minute })
	pending := bound("www-0", "pv1")
	pending.Status.Phase = corev1.ClaimPending
	for _, err := range []error{n.client.Tracker().Add(pending), n.client.Tracker().Add(unused(localPV("pv1", filepath.Join(n.cfg.VolumesDir, "pv1"), "n1")))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error)
	go func() {
		_, err := n.Setup(t.Context(), pod("u1", claimVolume("www-0")))
		done <- err
	}()
	<-n.watching
	if _, err := n.client.CoreV1().PersistentVolumeClaims("ns").UpdateStatus(t.Context(), bound("www-0", "pv1"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("still waiting")
	}
}

func TestFSGroup(t *testing.T) {
	needsMounts(t) // needs root
	n := start(t, nil)
	path := filepath.Join(n.cfg.VolumesDir, "pv1")
	outside := filepath.Join(t.TempDir(), "outside")
	tree(t, filepath.Dir(outside), "outside")
	tree(t, path, "dir/file", "link -> "+outside)
	for _, err := range []error{n.client.Tracker().Add(bound("www-0", "pv1")), n.client.Tracker().Add(localPV("pv1", path, "n1"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	setup := func(uid string, policy corev1.PodFSGroupChangePolicy) {
		t.Helper()
		p := pod(uid, claimVolume("www-0"))
		p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr.To[int64](3003), FSGroupChangePolicy: &policy}
		if _, err := n.Setup(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	setup("u1", corev1.FSGroupChangeAlways)
	check(t, path, os.ModeDir|os.ModeSetgid|0o775, 0, 3003)
	check(t, filepath.Join(path, "dir"), os.ModeDir|os.ModeSetgid|0o775, 0, 3003)
	check(t, filepath.Join(path, "dir/file"), 0o664, 0, 3003)
	check(t, outside, 0o644, 0, 0)
	// The same pod again changes nothing, another pod does unless told not to.
	if err := os.Chmod(filepath.Join(path, "dir/file"), 0o600); err != nil {
		t.Fatal(err)
	}
	setup("u1", corev1.FSGroupChangeAlways)
	check(t, filepath.Join(path, "dir/file"), 0o600, 0, 3003)
	setup("u2", corev1.FSGroupChangeOnRootMismatch)
	check(t, filepath.Join(path, "dir/file"), 0o600, 0, 3003)
	setup("u3", corev1.FSGroupChangeAlways)
	check(t, filepath.Join(path, "dir/file"), 0o660, 0, 3003)
}
