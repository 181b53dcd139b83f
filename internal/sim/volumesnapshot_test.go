package sim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	controller "berth.dev/berth/internal/controller/volumesnapshot"
	planvolume "berth.dev/berth/internal/plan/volume"
	"berth.dev/berth/internal/plan/volumesnapshot"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
	"berth.dev/berth/internal/sim"
)

// keeper is the node's part as a loop: it takes snapshots, onto a disk that
// outlives its process, and removes them.
type keeper struct {
	env  loop.Env
	host string
	disk map[string]bool // folders of snapshots
}

func keeperLoop(host string, disk map[string]bool) loop.Loop {
	return loop.Loop{
		Name: "keeper " + host,
		Watches: []loop.Watch{{Kind: &snapshotv1.VolumeSnapshotContent{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.Object())}}
		}}},
		New: func(env loop.Env) reconcile.Reconciler { return &keeper{env, host, disk} },
	}
}

func (k *keeper) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	c := &snapshotv1.VolumeSnapshotContent{}
	if err := k.env.Cache.Get(ctx, req.NamespacedName, c); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	step, folder, _ := volumesnapshot.Local(c, k.host)
	c = c.DeepCopy()
	switch step {
	case volumesnapshot.Take:
		k.disk[folder] = true
		fallthrough
	case volumesnapshot.Look:
		c.Status = &snapshotv1.VolumeSnapshotContentStatus{
			SnapshotHandle: ptr.To(volumesnapshot.Handle(k.host, folder)), ReadyToUse: ptr.To(k.disk[folder]), CreationTime: ptr.To(int64(1)), RestoreSize: ptr.To(int64(1)),
		}
		return reconcile.Result{}, client.IgnoreNotFound(k.env.Write.Status().Update(ctx, c))
	case volumesnapshot.Remove:
		delete(k.disk, folder)
		fallthrough
	case volumesnapshot.Keep:
		return reconcile.Result{}, client.IgnoreNotFound(k.env.Write.Update(ctx, volumesnapshot.LetGo(c)))
	case volumesnapshot.Rest:
	}
	return reconcile.Result{}, nil
}

// snapshots is a cluster in which users do things with snapshots.
type snapshots struct {
	t      *testing.T
	s      *sim.Sim
	r      *rand.Rand
	disk   map[string]bool
	retain map[string]bool // those that were said to be there under Retain
	stays  map[string]bool // those that are not to be removed
	names  int
}

func (u *snapshots) must(err error) {
	u.t.Helper()
	if client.IgnoreNotFound(err) != nil {
		u.t.Fatal(err)
	}
}

// claim is a claim with its volume, on one of two nodes.
func (u *snapshots) claim(name string) {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	c.Spec = corev1.PersistentVolumeClaimSpec{VolumeName: "pvc-" + name}
	u.s.Create(c)
	u.must(u.s.API().Get(context.Background(), key(name), c))
	u.s.Create(&corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + name, Annotations: map[string]string{volume.AnnDynamicallyProvisioned: planvolume.LocalProvisioner}},
		Spec: corev1.PersistentVolumeSpec{
			ClaimRef:               &corev1.ObjectReference{Namespace: "default", Name: name, UID: c.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/v/pvc-" + name}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{fmt.Sprint("h", u.r.IntN(2))}}},
			}}}},
		},
	})
}

// act is what a user does next.
func (u *snapshots) act() {
	ctx, api := context.Background(), u.s.API()
	u.names++
	name := fmt.Sprint("s", u.names)
	one := func(list client.ObjectList, opts ...client.ListOption) {
		u.must(api.List(ctx, list, opts...))
	}
	switch what := u.r.IntN(10); what {
	case 0, 1, 2, 3:
		snapshot := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
		snapshot.Spec.Source.PersistentVolumeClaimName = ptr.To(fmt.Sprint("c", u.r.IntN(5)))
		snapshot.Spec.VolumeSnapshotClassName = []*string{nil, ptr.To("deleted"), ptr.To("retained")}[u.r.IntN(3)]
		u.s.Create(snapshot)
	case 4: // one that was retained comes back
		var there []string
		for folder := range u.disk {
			if u.retain[folder] && u.contentOf(folder) == nil {
				there = append(there, folder)
			}
		}
		if slices.Sort(there); len(there) > 0 {
			folder := there[u.r.IntN(len(there))]
			snapshot := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
			snapshot.Spec.Source.VolumeSnapshotContentName = ptr.To("of-" + name)
			content := &snapshotv1.VolumeSnapshotContent{ObjectMeta: metav1.ObjectMeta{Name: "of-" + name}}
			content.Spec = snapshotv1.VolumeSnapshotContentSpec{
				Driver: planvolume.LocalProvisioner, DeletionPolicy: snapshotv1.Retain, Source: snapshotv1.VolumeSnapshotContentSource{SnapshotHandle: ptr.To(u.handle(folder))},
				VolumeSnapshotRef: corev1.ObjectReference{Namespace: "default", Name: name},
			}
			u.s.Create(snapshot, content)
		}
	case 5, 6, 7:
		list := &snapshotv1.VolumeSnapshotList{}
		if one(list); len(list.Items) > 0 {
			u.must(api.Delete(ctx, &list.Items[u.r.IntN(len(list.Items))]))
		}
	case 8:
		list := &snapshotv1.VolumeSnapshotContentList{}
		if one(list); len(list.Items) > 0 {
			u.must(api.Delete(ctx, &list.Items[u.r.IntN(len(list.Items))]))
		}
	case 9:
		list := &corev1.PersistentVolumeClaimList{}
		if one(list); len(list.Items) > 0 {
			u.must(api.Delete(ctx, &list.Items[u.r.IntN(len(list.Items))]))
		}
	}
}

// handle is that of a folder; the nodes of this test share their disk.
func (u *snapshots) handle(folder string) string {
	return volumesnapshot.Handle(fmt.Sprint("h", u.r.IntN(2)), folder)
}

func (u *snapshots) contents() []snapshotv1.VolumeSnapshotContent {
	list := &snapshotv1.VolumeSnapshotContentList{}
	u.must(u.s.API().List(context.Background(), list))
	return list.Items
}

// contentOf is the content whose snapshot is in a folder, if there is one.
func (u *snapshots) contentOf(folder string) *snapshotv1.VolumeSnapshotContent {
	all := u.contents()
	for i := range all {
		if folderOf(&all[i]) == folder {
			return &all[i]
		}
	}
	return nil
}

// folderOf is where the snapshot of a content is, or is to be.
func folderOf(c *snapshotv1.VolumeSnapshotContent) string {
	if from := c.Spec.Source.SnapshotHandle; from != nil {
		_, folder, _ := strings.Cut(*from, "/")
		return folder
	}
	return volumesnapshot.FolderPrefix + string(c.Spec.VolumeSnapshotRef.UID)
}

// check holds after every step: what is ready is on the disk, and what was there
// under Retain stays there.
func (u *snapshots) check(*sim.Sim) error {
	for folder := range u.retain {
		if !u.disk[folder] {
			return fmt.Errorf("%s was to be retained and is gone", folder)
		}
	}
	ready := map[string]bool{}
	all := u.contents()
	for i := range all {
		c := &all[i]
		_, folder, ok := volumesnapshot.Place(c)
		if !ok {
			u.stays[folderOf(c)] = u.stays[folderOf(c)] || c.Spec.DeletionPolicy == snapshotv1.Retain
			continue
		}
		if c.Spec.DeletionPolicy == snapshotv1.Retain {
			u.retain[folder], u.stays[folder] = true, true
		}
		ready[c.Name] = u.disk[folder] || c.DeletionTimestamp != nil && volumesnapshot.MayGo(c)
		if *c.Status.ReadyToUse && !ready[c.Name] {
			return fmt.Errorf("content %s says that %s is there", c.Name, folder)
		}
	}
	return nil
}

// atRest holds when nothing happens any more.
func (u *snapshots) atRest() error {
	list, claims := &snapshotv1.VolumeSnapshotList{}, &corev1.PersistentVolumeClaimList{}
	u.must(u.s.API().List(context.Background(), list))
	u.must(u.s.API().List(context.Background(), claims))
	alive, unready := map[string]bool{}, map[string]bool{}
	for i := range list.Items {
		snapshot := &list.Items[i]
		if snapshot.DeletionTimestamp != nil {
			return fmt.Errorf("snapshot %s is not gone: %v", snapshot.Name, snapshot.Finalizers)
		}
		alive[string(snapshot.UID)] = true
		of := volumesnapshot.SourceClaim(snapshot)
		if volumesnapshot.Ready(snapshot) {
			continue
		}
		unready[of] = true
		if snapshot.Status == nil || snapshot.Status.Error == nil {
			return fmt.Errorf("snapshot %s is not ready, and nobody says why: %+v", snapshot.Name, snapshot.Status)
		}
		if i := slices.IndexFunc(claims.Items, func(c corev1.PersistentVolumeClaim) bool { return c.Name == of && c.DeletionTimestamp == nil }); i >= 0 {
			return fmt.Errorf("snapshot %s could be taken: %s", snapshot.Name, *snapshot.Status.Error.Message)
		}
	}
	for i := range claims.Items {
		if c := &claims.Items[i]; slices.Contains(c.Finalizers, volumesnapshot.ClaimFinalizer) && !unready[c.Name] {
			return fmt.Errorf("claim %s is held for no snapshot", c.Name)
		}
	}
	used := map[string]bool{}
	for _, c := range u.contents() {
		if !alive[string(c.Spec.VolumeSnapshotRef.UID)] && c.Spec.DeletionPolicy == snapshotv1.Delete {
			return fmt.Errorf("content %s is of no snapshot: %v %v", c.Name, c.DeletionTimestamp, c.Annotations)
		}
		if _, folder, ok := volumesnapshot.Place(&c); ok {
			used[folder] = true
		}
	}
	for folder := range u.disk {
		if !used[folder] && !u.stays[folder] {
			return fmt.Errorf("nobody has %s", folder)
		}
	}
	return nil
}

// Users take, import and delete snapshots, contents and claims in any
// order, while processes die and caches lag: nothing leaks, nothing under Retain is
// lost, and whatever is deleted goes.
func TestVolumeSnapshots(t *testing.T) {
	taken, retained := 0, 0
	for seed := range uint64(80) {
		u := &snapshots{t: t, r: rand.New(rand.NewPCG(seed, 41)), disk: map[string]bool{}, retain: map[string]bool{}, stays: map[string]bool{}}
		u.s = sim.New(sim.Config{
			Seed: seed, Loops: []loop.Loop{controller.Loop(), keeperLoop("h0", u.disk), keeperLoop("h1", u.disk)},
			Faults: sim.AllFaults, Check: []func(*sim.Sim) error{u.check},
		})
		fail := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, tail(u.s))
			}
		}
		for i := range 2 {
			u.s.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i), Labels: map[string]string{corev1.LabelHostname: fmt.Sprint("h", i)}}})
		}
		u.s.Create(&snapshotv1.VolumeSnapshotClass{
			ObjectMeta: metav1.ObjectMeta{Name: "deleted", Annotations: map[string]string{volumesnapshot.DefaultClass: "true"}},
			Driver:     planvolume.LocalProvisioner, DeletionPolicy: snapshotv1.Delete,
		})
		for i := range 3 { // and two come later
			u.claim(fmt.Sprint("c", i))
		}
		for i := range 40 {
			u.act()
			if i == 15 { // until then, those that ask for it wait
				u.s.Create(&snapshotv1.VolumeSnapshotClass{ObjectMeta: metav1.ObjectMeta{Name: "retained"}, Driver: planvolume.LocalProvisioner, DeletionPolicy: snapshotv1.Retain})
			}
			if i == 20 || i == 35 {
				u.claim(fmt.Sprint("c", 3+i/30))
			}
			fail(u.s.Run(u.r.IntN(30)))
		}
		fail(u.s.Settle(5000))
		fail(u.atRest())
		taken += len(u.disk)

		// Everything goes, in any order, also when one of the nodes does.
		ctx, api := t.Context(), u.s.API()
		if seed%3 == 0 {
			u.must(api.Delete(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}))
		}
		var all []client.Object
		list, claims := &snapshotv1.VolumeSnapshotList{}, &corev1.PersistentVolumeClaimList{}
		u.must(api.List(ctx, list))
		u.must(api.List(ctx, claims))
		for i := range list.Items {
			all = append(all, &list.Items[i])
		}
		for i := range claims.Items {
			all = append(all, &claims.Items[i])
		}
		contents := u.contents()
		for i := range contents {
			all = append(all, &contents[i])
		}
		u.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, obj := range all {
			u.must(api.Delete(ctx, obj))
			fail(u.s.Run(u.r.IntN(20)))
		}
		fail(u.s.Settle(5000))
		u.must(api.List(ctx, list))
		u.must(api.List(ctx, claims))
		if left := u.contents(); len(list.Items)+len(claims.Items)+len(left) > 0 {
			fail(fmt.Errorf("%d snapshots, %d claims and contents %+v are left", len(list.Items), len(claims.Items), left))
		}
		for folder := range u.disk {
			if !u.stays[folder] && seed%3 != 0 { // a node that is gone keeps what it has
				fail(fmt.Errorf("%s is left on the disk", folder))
			}
			retained++
		}
	}
	if taken < 80*2 || retained < 80 {
		t.Errorf("only %d snapshots were taken, and %d retained", taken, retained)
	}
}
