package cni

import (
	"os"
	"testing"

	"berth.dev/berth/internal/base/datadir"
)

// Whoever starts first writes the configuration; the other one must not stumble.
func TestConfigIsWrittenByTwoAtOnce(t *testing.T) {
	for range 200 {
		dir := datadir.Dir(t.TempDir())
		done := make(chan error, 2)
		start := make(chan struct{})
		for range cap(done) {
			go func() {
				<-start
				done <- WriteConfig(dir)
			}()
		}
		close(start)
		for range cap(done) {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		left, err := os.ReadDir(dir.CNIConf())
		if err != nil || len(left) != 1 || left[0].Name() != configFile {
			t.Fatalf("the folder holds %v (%v)", left, err)
		}
	}
}
