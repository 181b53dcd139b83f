package statefulset

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"berth.dev/berth/internal/controller/all/alltest"
	"berth.dev/berth/internal/datastore"
)

// journal is every write to the datastore, as the datastore tells of it.
type journal struct {
	store *datastore.Store
	b     *testing.B

	mu     sync.Mutex
	writes []write
	keys   map[string]int64 // how often each was written since it was made
}

// write is one change of one key.
type write struct {
	at       time.Time
	key      string // without the root
	revision uint64
	verb     string
}

func follow(b *testing.B, store *datastore.Store) *journal {
	b.Helper()
	j := &journal{store: store, b: b, keys: map[string]int64{}}
	watch := store.Client.Watch(context.WithoutCancel(b.Context()), store.Prefix+"/", clientv3.WithPrefix(), clientv3.WithRev(1))
	alltest.Run(b, func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case r, ok := <-watch:
				if !ok {
					return nil
				}
				j.add(r.Events)
			}
		}
	})
	return j
}

func (j *journal) add(events []*clientv3.Event) {
	now := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range events {
		key := strings.TrimPrefix(string(e.Kv.Key), j.store.Prefix+"/")
		w := write{at: now, key: key, revision: uint64(e.Kv.ModRevision), verb: "update"}
		switch {
		case e.Type == clientv3.EventTypeDelete:
			w.verb = "delete"
			delete(j.keys, key)
		case e.IsCreate():
			w.verb = "create"
			j.keys[key] = 1
		default:
			j.keys[key] = e.Kv.Version
		}
		j.writes = append(j.writes, w)
	}
}

// since returns the writes from number from on, when all are there.
func (j *journal) since(from int) []write {
	j.b.Helper()
	now := j.revision()
	for {
		j.mu.Lock()
		all := j.writes
		j.mu.Unlock()
		if n := len(all); n > 0 && all[n-1].revision >= now {
			return all[min(from, n):]
		}
		time.Sleep(time.Millisecond)
	}
}

func (j *journal) len() int { return len(j.since(0)) }

// rest waits until nothing has been written for a while.
func (j *journal) rest() {
	j.b.Helper()
	const quiet = time.Second
	for before := j.revision(); ; {
		time.Sleep(quiet)
		now := j.revision()
		if now == before {
			return
		}
		before = now
	}
}

// revision is the datastore's.
func (j *journal) revision() uint64 {
	r, err := j.store.Client.KV.Get(j.b.Context(), j.store.Prefix, clientv3.WithCountOnly())
	if err != nil {
		j.b.Fatal(err)
	}
	return uint64(r.Header.Revision)
}

// count is how many keys there are below.
func (j *journal) count(below string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for key := range j.keys {
		if strings.HasPrefix(key, below) {
			n++
		}
	}
	return n
}

// kind is what an object of that key is.
func kind(key string) string {
	parts := strings.Split(key, "/")
	if strings.Contains(parts[0], ".") && len(parts) > 1 {
		return parts[1]
	}
	return parts[0]
}

// tally counts writes by kind and verb; events are apart.
func tally(writes []write) (lines []string, total, events int) {
	n := map[string]int{}
	for _, w := range writes {
		if kind(w.key) == "events" {
			events++
			continue
		}
		total++
		n[kind(w.key)+" "+w.verb]++
	}
	for _, k := range slices.Sorted(maps.Keys(n)) {
		lines = append(lines, k+" "+strconv.Itoa(n[k]))
	}
	return lines, total, events
}

func revisionOf(resourceVersion string) uint64 {
	v, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// eventDelays is how long after it happened each event was written: its name
// ends in the moment it was recorded.
func eventDelays(writes []write) []time.Duration {
	var all []time.Duration
	for _, w := range writes {
		if kind(w.key) != "events" || w.verb != "create" {
			continue
		}
		nano, err := strconv.ParseInt(w.key[strings.LastIndexByte(w.key, '.')+1:], 16, 64)
		if err == nil {
			all = append(all, w.at.Sub(time.Unix(0, nano)))
		}
	}
	return all
}

// steps is for each pod of an ordered set how long after the Ready of the one
// before it was written.
func steps(writes []write, readyAt map[string]uint64, set string, replicas int) []time.Duration {
	ready, created := map[uint64]time.Time{}, map[string]time.Time{}
	for _, w := range writes {
		if kind(w.key) != "pods" {
			continue
		}
		ready[w.revision] = w.at
		if w.verb == "create" {
			created[w.key[strings.LastIndexByte(w.key, '/')+1:]] = w.at
		}
	}
	var all []time.Duration
	for i := range replicas - 1 {
		before, after := set+"-"+strconv.Itoa(i), set+"-"+strconv.Itoa(i+1)
		if at, ok := ready[readyAt[before]]; ok {
			all = append(all, created[after].Sub(at))
		}
	}
	return all
}
