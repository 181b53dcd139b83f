package deployment

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"berth.dev/berth/internal/golden"
)

// TestCases runs the stories in testdata:
//
//	state replicas=10 [surge=3] [unavailable=2] [paused] [recreate] [complete] [history=2] [oldpods] [rollback] [deleting] [had=N]
//	  NAME SIZE [pods=N] [serve=N] [new] [unseen] [rev=N] [desired=N] [max=N] [stale] [deleting]
//	set WORDS           changes the state; "set new=" makes another template of it
//	plan                what Decide asks for
//	run [broken=NAMES]  carries plans out in a toy world until it rests; "new" is the new set
func TestCases(t *testing.T) { golden.Stories(t, begin) }

func begin(t *testing.T) golden.Teller {
	w := &toy{}
	return func(command, words string, input []string) string {
		t.Helper()
		switch command {
		case "state":
			w = &toy{State: State{HistoryLimit: 10}}
			w.change(t, words)
			for _, line := range input {
				w.Sets = append(w.Sets, parseSet(t, w.State, line))
			}
		case "set":
			w.change(t, words)
		case "plan":
			return describe(Decide(w.State))
		case "run":
			w.broken = map[string]bool{}
			for name := range strings.SplitSeq(strings.TrimPrefix(words, "broken="), ",") {
				w.broken[name] = true
			}
			trace, rested := w.settle(100)
			end := map[bool]string{true: "rests", false: "never rests"}[rested]
			return strings.Join(append(trace, end+" with "+w.say()), "\n")
		default:
			t.Fatalf("unknown command %q", command)
		}
		return ""
	}
}

func (w *toy) say() string {
	var words []string
	for _, s := range w.Sets {
		words = append(words, fmt.Sprintf("%s %d/%d", s.Name, s.Available, s.Size))
	}
	return strings.Join(words, ", ")
}

func describe(p Plan) string {
	var lines []string
	for _, a := range p.Actions {
		switch a.Verb {
		case ScaleSet:
			lines = append(lines, fmt.Sprintf("scale %s %d>%d", a.Set, a.From, a.To))
		case CreateSet:
			lines = append(lines, fmt.Sprintf("create %d", a.To))
		default:
			lines = append(lines, strings.TrimSpace(string(a.Verb)+" "+a.Set))
		}
	}
	if lines == nil {
		lines = []string{"nothing"}
	}
	if !p.Rollout {
		lines[0] += " (no rollout)"
	}
	return strings.Join(lines, "\n")
}

func (w *toy) change(t *testing.T, line string) {
	t.Helper()
	for word := range strings.FieldsSeq(line) {
		key, value, given := strings.Cut(word, "=")
		n, _ := strconv.Atoi(value)
		on := !given || value != "no"
		switch key {
		case "replicas":
			w.Replicas = n
		case "surge":
			w.Surge = n
		case "unavailable":
			w.Unavailable = n
		case "history":
			w.HistoryLimit = n
		case "had":
			w.Had = n
		case "paused":
			w.Paused = on
		case "recreate":
			w.Recreate = on
		case "complete":
			w.Complete = on
		case "oldpods":
			w.OldPods = on
		case "rollback":
			w.Rollback = on
		case "deleting":
			w.Deleting = on
		case "new":
			for i := range w.Sets {
				w.Sets[i].New = w.Sets[i].Name == value
			}
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
}

func parseSet(t *testing.T, s State, line string) Set {
	t.Helper()
	words := strings.Fields(line)
	size, err := strconv.Atoi(words[1])
	if err != nil {
		t.Fatal(err)
	}
	set := Set{Name: words[0], Size: size, Pods: size, Available: size, Seen: true, Desired: s.Replicas, Max: s.Replicas + s.Surge}
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "pods":
			set.Pods = n
		case "serve":
			set.Available = n
		case "new":
			set.New = true
		case "unseen":
			set.Seen = false
		case "rev":
			set.Revision = int64(n)
		case "desired":
			set.Desired = n
		case "max":
			set.Max = n
		case "stale":
			set.Stale = true
		case "deleting":
			set.Deleting = true
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	return set
}
