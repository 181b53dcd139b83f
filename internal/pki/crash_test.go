package pki

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"
)

// A crash leaves any beginning of the sequence of writes.
func TestCrashBetweenWrites(t *testing.T) {
	clock := testclock.NewFakePassiveClock(begin)
	o := options(clock)
	full := t.TempDir()
	mustEnsure(t, full, o)
	content := files(t, full)
	leaves := []string{"apiserver", "admin", "node-client"}
	order := []string{"ca.key", "ca.crt"}
	for _, l := range leaves {
		order = append(order, l+".key", l+".crt")
	}
	order = append(order, "sa.key", "join.token", "front-proxy-ca.key", "front-proxy-ca.crt", "front-proxy-client.key", "front-proxy-client.crt",
		"peer-ca.key", "peer-ca.crt", "peer.key", "peer.crt")
	for n := range order {
		dir := t.TempDir()
		for _, name := range order[:n] {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content[name]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "."+order[n]+".123"), []byte(content[order[n]][:10]), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Ensure(dir, o); err != nil {
			t.Errorf("after %d writes: %v", n, err)
		}
		for name := range files(t, dir) {
			if strings.HasPrefix(name, ".") {
				t.Errorf("left over: %s", name)
			}
		}
	}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("BERTH_PKI_ENSURE"); dir != "" {
		if _, err := Ensure(dir, Options{NodeName: "n1"}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestKilledAtAnyMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("runs some processes")
	}
	for i := range 40 {
		dir := filepath.Join(t.TempDir(), "pki")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "BERTH_PKI_ENSURE="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Until the directory is there the process has done nothing of interest.
		for range 2000 {
			if _, err := os.Stat(dir); err == nil {
				break
			}
			time.Sleep(50 * time.Microsecond)
		}
		time.Sleep(time.Duration(i) * 150 * time.Microsecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		set, err := Ensure(dir, Options{NodeName: "n1"})
		if err != nil {
			t.Fatalf("killed after %d steps: %v", i, err)
		}
		certOf(t, set.APIServer)
	}
}
