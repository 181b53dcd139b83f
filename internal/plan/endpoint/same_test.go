package endpoint

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"pgregory.net/rapid"
)

// What is compared by hand is what reflection compares, whatever the fields.
func TestSameIsSemanticEquality(t *testing.T) {
	word := rapid.SampledFrom([]string{"", "a", "b"})
	some := rapid.Ptr(word, true)
	flag := rapid.Ptr(rapid.Bool(), true)
	endpoint := rapid.Custom(func(t *rapid.T) discoveryv1.Endpoint {
		e := discoveryv1.Endpoint{
			Addresses: rapid.SliceOfN(word, 0, 2).Draw(t, "addresses"),
			Hostname:  some.Draw(t, "hostname"), NodeName: some.Draw(t, "node"), Zone: some.Draw(t, "zone"),
			Conditions: discoveryv1.EndpointConditions{Ready: flag.Draw(t, "ready"), Serving: flag.Draw(t, "serving"), Terminating: flag.Draw(t, "terminating")},
			TargetRef: rapid.Ptr(rapid.Custom(func(t *rapid.T) corev1.ObjectReference {
				return corev1.ObjectReference{Kind: word.Draw(t, "kind"), Name: word.Draw(t, "name"), FieldPath: word.Draw(t, "path")}
			}), true).Draw(t, "target"),
			DeprecatedTopology: rapid.MapOfN(word, word, 0, 1).Draw(t, "topology"),
		}
		if rapid.IntRange(0, 4).Draw(t, "hinted") == 0 {
			e.Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: word.Draw(t, "hint")}}}
		}
		return e
	})
	rapid.Check(t, func(t *rapid.T) {
		a := endpoint.Draw(t, "a")
		b := *a.DeepCopy()
		if !same(a, b) {
			t.Fatalf("a copy differs: %+v", a)
		}
		other := endpoint.Draw(t, "other")
		switch rapid.IntRange(0, 8).Draw(t, "differs in") {
		case 0:
			b.Addresses = other.Addresses
		case 1:
			b.Hostname = other.Hostname
		case 2:
			b.NodeName = other.NodeName
		case 3:
			b.Zone = other.Zone
		case 4:
			b.Conditions = other.Conditions
		case 5:
			b.TargetRef = other.TargetRef
		case 6:
			b.Hints = other.Hints
		case 7:
			b.DeprecatedTopology = other.DeprecatedTopology
		default:
			b = other
		}
		if got, want := same(a, b), equality.Semantic.DeepEqual(a, b); got != want {
			t.Fatalf("%v, want %v:\n%+v\n%+v", got, want, a, b)
		}
	})
}
