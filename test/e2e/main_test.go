// Package e2e drives the built program as a user would: real kubectl, real
// containers, each cluster on a test host of its own.
package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

func TestMain(m *testing.M) {
	host.Main()
	etcdMain()
	holderMain()
	os.Exit(m.Run())
}

// repo is the repository's root.
func repo(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// nginxImage builds the nginx example's image once.
func nginxImage(t testing.TB) string {
	t.Helper()
	out := filepath.Join(cluster.Bin(t), "images", "nginx.tar")
	if _, err := os.Stat(out); err == nil {
		return out
	}
	build := exec.CommandContext(t.Context(), filepath.Join(repo(t), "examples/nginx/build.sh"), filepath.Dir(out))
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the nginx image: %v\n%s", err, text)
	}
	return out
}

// exitCode is a finished command's.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
