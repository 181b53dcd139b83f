package statefulset

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/golden"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// TestCases runs the stories in testdata:
//
//	state [policy=Parallel] replicas=3 update=B [current=A] [start=] [partition=]
//	      [max=] [strategy=] [rolling=no] [paused] [reserve=1,3-5] [limit=2] [delete=scaled,deleted] [claims=www]
//	  ORDINAL HEALTH [REVISION] [terminating] [stuck] [misnamed] [left=10s] [claim=missing|deleting|stale|set|pod|foreign|small|growing, by commas for each claim]
//	plan [upstream]         what Decide asks for, and Explain says
//	run [upstream] [broken=B]  carries plans out in a toy world until it rests
//	set key=value ...       changes the state
func TestCases(t *testing.T) { golden.Stories(t, begin) }

func begin(t *testing.T) golden.Teller {
	w := &toy{}
	return func(command, words string, input []string) string { return w.command(t, command, words, input) }
}

// command runs one block.
func (w *toy) command(t *testing.T, command, words string, input []string) string {
	args := map[string]string{}
	for _, word := range strings.Fields(words) {
		key, value, _ := strings.Cut(word, "=")
		args[key] = value
	}
	rules := Production
	if _, ok := args["upstream"]; ok {
		rules = Upstream
	}
	switch command {
	case "state":
		w.State = State{Name: "web", Strategy: RollingUpdate, HasRolling: true, MaxUnavailable: 1}
		w.set(t, args)
		if w.Current == "" {
			w.Current = w.Update
		}
		for _, l := range input {
			w.Pods = append(w.Pods, w.parsePod(t, l, args["claims"]))
		}
		w.ensureAll(args["claims"])
	case "set":
		w.set(t, args)
		w.ensureAll("")
	case "plan":
		return describe(w.State, Decide(w.State, rules))
	case "run":
		w.broken = strings.FieldsFunc(args["broken"], func(r rune) bool { return r == ',' })
		trace, rested := w.settle(rules, 200)
		end := "rests"
		if !rested {
			end = "never rests"
		}
		lines := append(append(trace, end), Explain(w.State, Decide(w.State, rules))...)
		return strings.Join(lines, "\n")
	default:
		t.Fatalf("unknown command %q", command)
	}
	return ""
}

func (w *toy) set(t *testing.T, args map[string]string) {
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for key, value := range args {
		switch key {
		case "policy":
			w.Parallel = value == "Parallel"
		case "replicas":
			w.Replicas = number(value)
		case "start":
			w.Start = number(value)
		case "partition":
			w.Partition = number(value)
		case "max":
			w.MaxUnavailable = number(value)
		case "update":
			w.Update = value
		case "current":
			w.Current = value
		case "currentReplicas":
			w.CurrentReplicas = number(value)
		case "strategy":
			w.Strategy = Strategy(value)
		case "rolling":
			w.HasRolling = value != "no"
		case "scaleDownUnready":
			w.ScaleDownUnready = true
		case "pdb": // pdb=ALLOWED:ORDINAL,ORDINAL
			allowed, covers, _ := strings.Cut(value, ":")
			b := DisruptionBudget{Name: "guard", Allowed: number(allowed)}
			for _, o := range strings.Split(covers, ",") {
				b.Covers = append(b.Covers, number(o))
			}
			w.RespectBudgets, w.Budgets = true, []DisruptionBudget{b}
		case "order":
			var err error
			if w.Order, err = options.ParseOrder(strings.Replace(value, ":", "=", 1)); err != nil {
				t.Fatal(err)
			}
		case "inplace":
			w.InPlace = options.InPlace(value)
		case "prepull":
			w.PrePull = true
		case "badOverrides":
			w.BadOverrides = "2: json: unknown field \"nodeNam\""
		case "recover":
			w.RecoverTogether = true
		case "teardown":
			w.Teardown = value != "no"
		case "guarded":
			w.Guarded = true
		case "orphaning":
			w.Orphaning = true
		case "paused":
			w.Paused = value != "no"
		case "limit":
			w.StartLimit = number(value)
		case "reserve":
			var err error
			if w.Reserved, err = options.ParseOrdinals(value); err != nil {
				t.Fatal(err)
			}
		case "deleting":
			w.Deleting = true
		case "delete":
			w.Retention = Retention{WhenScaled: strings.Contains(value, "scaled"), WhenDeleted: strings.Contains(value, "deleted")}
		case "claims", "upstream":
		default:
			t.Fatalf("unknown setting %q", key)
		}
	}
}

// ensureAll adds the wanted ordinals that are not there.
func (w *toy) ensureAll(claims string) {
	for o := w.Start; o < w.end(); o++ {
		if w.inRange(o) {
			w.ensure(o, claims)
		}
	}
}

func (w *toy) ensure(ordinal int, claims string) {
	for _, pod := range w.Pods {
		if pod.Ordinal == ordinal {
			return
		}
	}
	w.Pods = append(w.Pods, Pod{Ordinal: ordinal, Claims: w.newClaims(ordinal, claims, "missing")})
	for i := len(w.Pods) - 1; i > 0 && w.Pods[i].Ordinal < w.Pods[i-1].Ordinal; i-- {
		w.Pods[i], w.Pods[i-1] = w.Pods[i-1], w.Pods[i]
	}
}

func (w *toy) newClaims(ordinal int, names, how string) []Claim {
	var claims []Claim
	each := strings.Split(how, ",") // the claims' in their order; the last is that of the rest
	for i, name := range strings.FieldsFunc(names, func(r rune) bool { return r == ',' }) {
		c := Claim{Name: ClaimName(name, w.Name, ordinal), Template: i}
		switch each[min(i, len(each)-1)] {
		case "missing":
			c.Missing = true
		case "deleting":
			c.Deleting = true
		case "stale":
			c.PodRef = Stale
		case "small":
			c.TooSmall, c.Wanted = true, "2Gi"
		case "growing":
			c.Growing, c.Wanted = true, "2Gi"
		case "set":
			c.SetRef = Held
		case "plain":
			c.SetRef = Plain
		case "pod":
			c.PodRef = Held
		case "foreign":
			c.Foreign = true
		}
		claims = append(claims, c)
	}
	return claims
}

func (w *toy) parsePod(t *testing.T, line, claims string) Pod {
	words := strings.Fields(line)
	ordinal, err := strconv.Atoi(words[0])
	if err != nil || len(words) < 2 {
		t.Fatalf("bad pod line %q", line)
	}
	pod := Pod{Ordinal: ordinal, UID: types.UID("old-" + words[0]), Claims: w.newClaims(ordinal, claims, "")}
	found := false
	for h := Absent; h <= Available; h++ {
		if h.String() == words[1] {
			pod.Health, found = h, true
		}
	}
	if !found {
		t.Fatalf("unknown health in %q", line)
	}
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "terminating":
			pod.Terminating = true
		case "stuck":
			pod.NeverStarted, pod.Detail = true, "container nginx in ImagePullBackOff"
		case "role":
			pod.Turn = w.Order.Turn(map[string]string{"role": value})
		case "patchable":
			pod.Patchable = true
		case "obstacle":
			pod.Obstacle = "spec.containers[0].env cannot change in place"
		case "pull": // pull=unasked|pulling|failed
			pod.Images = "nginx:2"
			pod.Pull = map[string]Pull{"unasked": Unasked, "pulling": Pulling, "failed": PullFailed}[value]
			if pod.Pull == PullFailed {
				pod.Detail = "nginx:2: not found"
			}
			if pod.Pull == Pulling {
				pod.PullLeft = time.Minute
			}
		case "override": // override=WANTED[:HAS]
			pod.Override, pod.Overridden, _ = strings.Cut(value, ":")
		case "asked":
			pod.Asked = true
		case "before":
			pod.ReadyBefore = true
		case "retry":
			pod.Failures = 3
			pod.RetryIn, err = time.ParseDuration(value)
		case "misnamed":
			pod.WrongIdentity = true
		case "wrongstorage":
			pod.WrongStorage = true
		case "olderstorage":
			pod.WrongStorage, pod.OlderStorage = true, true
		case "left":
			pod.AvailableIn, err = time.ParseDuration(value)
		case "claim":
			pod.Claims = w.newClaims(ordinal, claims, value)
		default:
			pod.Revision = word
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func describe(s State, p Plan) string {
	var out strings.Builder
	for _, a := range p.Actions {
		fmt.Fprintf(&out, "step %d: %s %d", a.Step, a.Verb, a.Ordinal)
		if a.Claim != "" {
			fmt.Fprintf(&out, " %s owner=%q", a.Claim, a.Owner)
		}
		if a.Revision != "" {
			fmt.Fprintf(&out, " revision %s", a.Revision)
		}
		if a.Evict {
			out.WriteString(" if budgets agree")
		}
		fmt.Fprintf(&out, " (%s)\n", a.Why)
	}
	for _, h := range p.Holds {
		fmt.Fprintf(&out, "hold %d (%s)\n", h.Ordinal, h.Why)
	}
	if p.Again > 0 {
		fmt.Fprintf(&out, "again in %s\n", p.Again)
	}
	for _, line := range Explain(s, p) {
		fmt.Fprintf(&out, "| %s\n", line)
	}
	return out.String()
}
