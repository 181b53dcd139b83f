// Package sim runs control loops in a simulated cluster: virtual time, a
// simulated API whose caches lag, toy nodes, and faults between any two writes.
// Everything happens on one goroutine in an order that a seed decides, so a
// failing seed is a test that fails every time.
//
//	s := sim.New(sim.Config{Seed: seed, Loops: []loop.Loop{statefulset.Loop()}, Faults: sim.AllFaults})
//	s.Create(web)
//	err := s.Run(500)   // so many steps, invariants checked after each
//	err = s.Settle(5000) // no more faults: it must come to rest
package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
	cniv1 "berth.dev/berth/spiderpool/cni/v1"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// Config says what is simulated.
type Config struct {
	Seed  uint64
	Loops []loop.Loop
	// Scheme is the clients' scheme; nil means every kind Berth serves.
	Scheme *runtime.Scheme
	// Nodes is how many toy nodes there are; 0 means 2.
	Nodes  int
	Faults Faults
	// NoToyScheduler and NoToyCollector leave binding (of pods and claims) and garbage collection to
	// loops under test.
	NoToyScheduler, NoToyCollector bool
	// Drivers gives the cluster a toy storage system, whose volumes the nodes use.
	Drivers bool
	// NoPullAhead: nodes do not answer when they are asked for images.
	NoPullAhead bool
	// Refuse, when set, may refuse a write of a loop, as admission does.
	Refuse func(loop, verb string, obj client.Object) error
	// Check is asked after every step, beside the built-in invariants.
	Check []func(*Sim) error
}

// Sim is one simulated cluster.
type Sim struct {
	config  Config
	rand    *rand.Rand
	clock   *Clock
	store   *store
	views   map[schema.GroupVersionKind]*view
	loops   []*running
	nodes   []*node
	array   *array // nil without Drivers
	faults  Faults
	trace   []string
	steps   int
	writes  int
	deleted ours
	lost    int                             // pods that were made, and the loop never learned of it
	handed  map[client.Object]client.Object // shared objects a loop has read, and how they were
	idle    int                             // timers in a row that changed nothing
	failed  error

	failures []Failure
	until    time.Time       // when RunFor ends; time does not go beyond
	ctx      context.Context //nolint:containedctx // one goroutine, one life
	cancel   context.CancelFunc
}

// New builds a cluster at rest.
func New(config Config) *Sim {
	if config.Scheme == nil {
		config.Scheme = runtime.NewScheme()
		utilruntime.Must(scheme.AddToScheme(config.Scheme))
		utilruntime.Must(apiregistrationv1.AddToScheme(config.Scheme))
		utilruntime.Must(spiderpoolv2beta1.AddToScheme(config.Scheme))
		utilruntime.Must(cniv1.AddToScheme(config.Scheme))
		utilruntime.Must(snapshotv1.AddToScheme(config.Scheme))
	}
	if config.Nodes == 0 {
		config.Nodes = 2
	}
	clock := newClock()
	s := &Sim{
		config: config,
		rand:   rand.New(rand.NewPCG(config.Seed, 0x5eed)),
		clock:  clock,
		store: &store{
			scheme: config.Scheme, clock: clock, fill: setDefaults,
			kinds: map[schema.GroupVersionKind]*kindStore{},
		},
		faults:  config.Faults,
		deleted: ours{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background()) //nolint:forbidigo // the simulator is its own world
	for i := range config.Nodes {
		s.nodes = append(s.nodes, newNode(fmt.Sprintf("node-%d", i)))
	}
	if config.Drivers {
		s.array = newArray(s.nodes)
	}
	s.startLoops()
	return s
}

// Now is the virtual time.
func (s *Sim) Now() time.Time { return s.clock.Now() }

// Writes counts the writes that loops have made and that changed or tried to
// change something.
func (s *Sim) Writes() int { return s.writes }

// Steps counts the steps made.
func (s *Sim) Steps() int { return s.steps }

// Trace tells what has happened, one line a step.
func (s *Sim) Trace() []string { return s.trace }

func (s *Sim) log(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf("%5d %6s ", s.steps, s.clock.Now().Sub(newClock().now).Round(time.Millisecond))+fmt.Sprintf(format, args...))
}

// API returns the cluster as a user sees it: reads are live, writes are certain.
func (s *Sim) API() API {
	return API{Reader: s.live(), Writer: &writer{sim: s, store: s.store, before: func(verb string, obj client.Object) error {
		s.idle = 0
		s.log("user: %s %T %s/%s", verb, obj, obj.GetNamespace(), obj.GetName())
		return nil
	}}}
}

// API is a live reader and a writer.
type API struct {
	client.Reader
	loop.Writer
}

func (s *Sim) live() *reader {
	return &reader{store: s.store, indexes: s.indexes(), objects: func(gvk schema.GroupVersionKind) map[types.NamespacedName]client.Object {
		return s.store.kind(gvk).objects
	}}
}

// Create is the user creating an object; it panics on a bad one, as the test is wrong then.
func (s *Sim) Create(objs ...client.Object) {
	for _, obj := range objs {
		if err := s.API().Create(s.ctx, obj); err != nil {
			panic(fmt.Sprintf("sim: create %T %s: %v", obj, obj.GetName(), err))
		}
	}
}

// Run makes n steps, fewer when nothing is left to do. The error names the seed.
func (s *Sim) Run(n int) error {
	for range n {
		if !s.Step() {
			break
		}
		if s.failed != nil {
			return s.failed
		}
	}
	return s.failed
}

// Settle ends all faults and runs until nothing moves and no timer is left. It
// is an error when that takes more than limit steps.
func (s *Sim) Settle(limit int) error {
	s.faults = Faults{}
	s.NodesBack()
	for range limit {
		if !s.Step() {
			return s.failed
		}
		if s.failed != nil {
			return s.failed
		}
	}
	return s.fail(fmt.Errorf("not at rest after %d steps without faults", limit))
}

// Calm ends all faults but the silence of nodes.
func (s *Sim) Calm() { s.faults = Faults{} }

// Wake puts every key of every loop in its queue, as a resync would.
func (s *Sim) Wake() {
	for _, r := range s.loops {
		s.enqueueAll(r)
	}
}

// Restart ends the process and starts it again.
func (s *Sim) Restart() {
	s.log("the process restarts")
	s.startLoops()
}

// fail notes the first thing that went wrong, with the seed and the last steps.
func (s *Sim) fail(err error) error {
	if s.failed == nil {
		tail := s.trace[max(0, len(s.trace)-40):]
		text := ""
		for _, line := range tail {
			text += "\n" + line
		}
		s.failed = fmt.Errorf("seed %d, step %d: %w\nlast steps:%s", s.config.Seed, s.steps, err, text)
	}
	return s.failed
}
