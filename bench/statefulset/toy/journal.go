package toy

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

// Journal is every write to the datastore, as the datastore tells of it.
type Journal struct {
	store *datastore.Store
	b     *testing.B

	mu     sync.Mutex
	writes []Write
	keys   map[string]int64 // how often each was written since it was made
}

// Write is one change of one key.
type Write struct {
	At       time.Time
	Key      string // without the root
	Revision uint64
	Verb     string
}

func follow(b *testing.B, store *datastore.Store) *Journal {
	b.Helper()
	j := &Journal{store: store, b: b, keys: map[string]int64{}}
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

func (j *Journal) add(events []*clientv3.Event) {
	now := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range events {
		key := strings.TrimPrefix(string(e.Kv.Key), j.store.Prefix+"/")
		w := Write{At: now, Key: key, Revision: uint64(e.Kv.ModRevision), Verb: "update"}
		switch {
		case e.Type == clientv3.EventTypeDelete:
			w.Verb = "delete"
			delete(j.keys, key)
		case e.IsCreate():
			w.Verb = "create"
			j.keys[key] = 1
		default:
			j.keys[key] = e.Kv.Version
		}
		j.writes = append(j.writes, w)
	}
}

// Since returns the writes from number from on, when all are there.
func (j *Journal) Since(from int) []Write {
	j.b.Helper()
	now := j.Revision()
	for {
		j.mu.Lock()
		all := j.writes
		j.mu.Unlock()
		if n := len(all); n > 0 && all[n-1].Revision >= now {
			return all[min(from, n):]
		}
		time.Sleep(time.Millisecond)
	}
}

// Len is how many there are.
func (j *Journal) Len() int { return len(j.Since(0)) }

// rest waits until nothing has been written for a while.
func (j *Journal) rest() {
	j.b.Helper()
	const quiet = time.Second
	for before := j.Revision(); ; {
		time.Sleep(quiet)
		now := j.Revision()
		if now == before {
			return
		}
		before = now
	}
}

// Revision is the datastore's.
func (j *Journal) Revision() uint64 {
	r, err := j.store.Client.KV.Get(j.b.Context(), j.store.Prefix, clientv3.WithCountOnly())
	if err != nil {
		j.b.Fatal(err)
	}
	return uint64(r.Header.Revision)
}

// count is how many keys there are below.
func (j *Journal) count(below string) int {
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

// tally counts writes by kind and verb, but for events.
func tally(writes []Write) (lines []string, total int) {
	n := map[string]int{}
	for _, w := range writes {
		if kind(w.Key) == "events" {
			continue
		}
		total++
		n[kind(w.Key)+" "+w.Verb]++
	}
	for _, k := range slices.Sorted(maps.Keys(n)) {
		lines = append(lines, k+" "+strconv.Itoa(n[k]))
	}
	return lines, total
}

func revisionOf(resourceVersion string) uint64 {
	v, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// EventDelays is how long after it happened each event was written: its name
// ends in the moment it was recorded.
func EventDelays(writes []Write) []time.Duration {
	var all []time.Duration
	for _, w := range writes {
		if kind(w.Key) != "events" || w.Verb != "create" {
			continue
		}
		nano, err := strconv.ParseInt(w.Key[strings.LastIndexByte(w.Key, '.')+1:], 16, 64)
		if err == nil {
			all = append(all, w.At.Sub(time.Unix(0, nano)))
		}
	}
	return all
}

// Versions is how often the objects of these kinds that are there were written.
func (j *Journal) Versions(kinds ...string) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := int64(0)
	for key, versions := range j.keys {
		if slices.Contains(kinds, kind(key)) {
			n += versions
		}
	}
	return n
}

// Gone waits until there is no object of these kinds.
func (t *Toy) Gone(kinds ...string) {
	t.B.Helper()
	t.Until(strings.Join(kinds, ", ")+" to go", func() bool {
		n := 0
		for _, k := range kinds {
			n += t.Journal.count(k + "/")
		}
		return n == 0
	})
}

// Steps is for each pod of an ordered set how long after the Ready of the one
// before it was written.
func (t *Toy) Steps(writes []Write, set string, replicas int) []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	ready, created := map[uint64]time.Time{}, map[string]time.Time{}
	for _, w := range writes {
		if kind(w.Key) != "pods" {
			continue
		}
		ready[w.Revision] = w.At
		if w.Verb == "create" {
			created[w.Key[strings.LastIndexByte(w.Key, '/')+1:]] = w.At
		}
	}
	var all []time.Duration
	for i := range replicas - 1 {
		before, after := set+"-"+strconv.Itoa(i), set+"-"+strconv.Itoa(i+1)
		if at, ok := ready[t.readyAt[before]]; ok {
			all = append(all, created[after].Sub(at))
		}
	}
	return all
}
