package fuzz

import (
	"flag"
	"log/slog"
	"math/rand"
	"os"
	"testing"
	"time"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
)

var (
	// A change is tested against the same requests as the one before it; who looks
	// for faults draws others, by hand.
	seed      = flag.Int64("seed", 1, "what random runs start from; 0 draws one")
	keepGoing = flag.Bool("keep-going", false, "do not stop at the first request that fails")
	span      = flag.Duration("for", 4*time.Second, "how long each random run takes")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = time.Now().UnixNano()
	}
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	// A panic in the server becomes a failure of the test that caused it.
	utilruntime.ReallyCrash = false
	utilruntime.PanicHandlers = append(utilruntime.PanicHandlers, noticed.add)
	os.Exit(m.Run())
}

// source starts a random run and says how to repeat it.
func source(t *testing.T) *rand.Rand {
	t.Helper()
	t.Logf("repeat with -seed %d", *seed)
	return rand.New(rand.NewSource(*seed))
}
