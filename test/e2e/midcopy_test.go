package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// killedWhileCopying kills whoever keeps the volumes of a node, at, in the middle
// of a snapshot and in the middle of a restore. What there was of either is nobody's
// snapshot and nobody's volume: each becomes what its source is then, and nothing
// else is left on the disk.
func killedWhileCopying(t *testing.T, c, at *cluster.Cluster) {
	user := func(name, claim string) string {
		return "---" + shell(name, forever, "      volumeMounts: [{name: data, mountPath: /data}]\n  volumes: [{name: data, persistentVolumeClaim: {claimName: "+claim+"}}]\n")
	}
	node := at.Host.Name
	c.Apply(claimOf("copied", "5Mi", "") + strings.Replace(user("filler", "copied"), "\nspec:", "\nspec:\n  nodeSelector: {kubernetes.io/hostname: "+node+"}", 1))
	c.Kubectl("wait", "--for=condition=Ready", "pod/filler", "--timeout=150s")
	c.Kubectl("exec", "filler", "--", "sh", "-c", "echo deep > /data/first")
	c.Kubectl("delete", "pod", "filler", "--now")
	volumes := filepath.Join(at.Data, "volumes")
	source := filepath.Join(volumes, c.Kubectl("get", "pvc", "copied", "-o", "jsonpath={.spec.volumeName}"))

	// Each time that a copy was whole before its death it is given more to do.
	files := 0
	more := func() {
		for end := max(2*files, 4000); files < end; files++ {
			dir := filepath.Join(source, fmt.Sprint("d", files/500))
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(files)), []byte(fmt.Sprint("file ", files)), 0o640); err != nil {
				t.Fatal(err)
			}
		}
	}
	back := func() {
		at.Launch()
		c.Await()
		c.Eventually(3*time.Minute, "True", c.Ask("get", "node", node, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`))
	}
	// caught tells whether the copy to a folder was cut short by a kill.
	caught := func(name string) bool {
		t.Helper()
		half, whole := filepath.Join(volumes, "."+name+".copy"), filepath.Join(volumes, name)
		c.Eventually(3*time.Minute, "begun", func() string {
			if present(half) || present(whole) {
				return "begun"
			}
			return "neither " + half + " nor " + whole
		})
		at.Kill()
		return present(half) && !present(whole)
	}
	becomes := func(want string, what ...string) {
		t.Helper()
		c.Eventually(5*time.Minute, want, c.Ask(append([]string{"get"}, what...)...))
	}
	take := func() (folder string) {
		c.Apply("apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshot\nmetadata: {name: cut}\nspec: {source: {persistentVolumeClaimName: copied}}\n")
		return "snapshot-" + c.Kubectl("get", "vs", "cut", "-o", "jsonpath={.metadata.uid}")
	}
	ready := func() {
		t.Helper()
		becomes("true 5Mi ", "vs", "cut", "-o", "jsonpath={.status.readyToUse} {.status.restoreSize} {.status.error}")
	}

	more()
	taken, cut := take(), false
	for cut = caught(taken); !cut; cut = caught(taken) {
		back()
		ready()
		sameTree(t, "a snapshot", filepath.Join(volumes, taken), source)
		c.Kubectl("delete", "vs", "cut", "--timeout=150s")
		more()
		taken = take()
	}
	// What had been copied may be gone by now, or something else.
	if err := os.RemoveAll(filepath.Join(source, "d0")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "d1", "500"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	back()
	ready()
	sameTree(t, "the snapshot that was cut short", filepath.Join(volumes, taken), source)

	// Into a larger claim.
	restore := func() (folder string) {
		c.Apply(claimOf("again", "6Mi", ", dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: cut}"))
		return "pvc-" + c.Kubectl("get", "pvc", "again", "-o", "jsonpath={.metadata.uid}")
	}
	restored := restore()
	for cut = caught(restored); ; cut = caught(restored) {
		back()
		becomes("Bound "+restored+" 6Mi", "pvc", "again", "-o", "jsonpath={.status.phase} {.spec.volumeName} {.status.capacity.storage}")
		sameTree(t, "a restored volume", filepath.Join(volumes, restored), filepath.Join(volumes, taken))
		if cut {
			break
		}
		c.Kubectl("delete", "pvc/again", "vs/cut", "--timeout=150s")
		more()
		taken = take()
		ready()
		restored = restore()
	}
	t.Logf("killed in the middle of copies of %d files", files)
	c.Apply(user("reader", "again"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/reader", "--timeout=150s")
	same(t, "where the restored volume is used, and what is in it", func() string {
		return c.Kubectl("get", "pod", "reader", "-o", "jsonpath={.spec.nodeName}") + " " + c.Kubectl("exec", "reader", "--", "cat", "/data/first", "/data/d1/500")
	}, node+" deep\nnew")
	c.Kubectl("delete", "pod", "reader", "--now")

	c.Kubectl("delete", "vs", "cut", "--timeout=150s")
	c.Kubectl("delete", "pvc", "copied", "again", "--timeout=150s")
	c.Eventually(2*time.Minute, "", func() string {
		var left []string
		for _, pattern := range []string{"snapshot-*", ".*.copy", filepath.Base(source), restored} {
			found, _ := filepath.Glob(filepath.Join(volumes, pattern)) // the pattern is good
			left = append(left, found...)
		}
		return strings.Join(left, " ")
	})
	same(t, "contents", c.Ask("get", "vsc", "-o", "name"), "")
}

func present(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// sameTree compares two folders, name for name and byte for byte.
func sameTree(t *testing.T, what, got, want string) {
	t.Helper()
	read := func(root string) map[string]string {
		tree := map[string]string{}
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			line := fmt.Sprint(info.Mode(), " ", info.ModTime().UnixNano())
			if info.Mode().IsRegular() {
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				line += fmt.Sprintf(" %x", sha256.Sum256(text))
			}
			tree[strings.TrimPrefix(path, root)] = line
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return tree
	}
	is, should := read(got), read(want)
	for name, line := range should {
		if is[name] != line {
			t.Fatalf("%s: %s is %q, want %q", what, name, is[name], line)
		}
	}
	if len(is) != len(should) || len(is) == 0 {
		t.Fatalf("%s has %d files, its source %d", what, len(is), len(should))
	}
}
