package deployment

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// TestCases runs the stories in testdata. A story is a list of blocks, each a
// command, its input, a line of four dashes, and what comes out:
//
//	state replicas=10 [surge=3] [unavailable=2] [paused] [recreate] [complete] [history=2] [oldpods] [rollback] [deleting] [had=N]
//	  NAME SIZE [pods=N] [serve=N] [new] [unseen] [rev=N] [desired=N] [max=N] [stale] [deleting]
//	set WORDS           changes the state; "set new=" makes another template of it
//	plan                what Decide asks for
//	run [broken=NAMES]  carries plans out in a toy world until it rests; "new" is the new set
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func play(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	w := &toy{}
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		head, _, _ := strings.Cut(block, "\n----")
		out.WriteString(head + "\n")
		lines := strings.Split(head, "\n")
		for len(lines) > 0 && strings.HasPrefix(lines[0], "#") {
			lines = lines[1:]
		}
		if len(lines) > 0 {
			command, rest, _ := strings.Cut(lines[0], " ")
			switch command {
			case "state":
				w = &toy{State: State{HistoryLimit: 10}}
				w.change(t, rest)
				for _, line := range lines[1:] {
					w.Sets = append(w.Sets, parseSet(t, w.State, line))
				}
			case "set":
				w.change(t, rest)
			case "plan":
				out.WriteString("----\n" + describe(Decide(w.State)) + "\n")
			case "run":
				w.broken = map[string]bool{}
				for name := range strings.SplitSeq(strings.TrimPrefix(rest, "broken="), ",") {
					w.broken[name] = true
				}
				trace, rested := w.settle(100)
				end := map[bool]string{true: "rests", false: "never rests"}[rested]
				out.WriteString("----\n" + strings.Join(append(trace, end+" with "+w.say()), "\n") + "\n")
			default:
				t.Fatalf("unknown command %q", lines[0])
			}
		}
		out.WriteString("\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
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
