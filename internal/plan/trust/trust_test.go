package trust

import (
	"encoding/pem"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

func block(der string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"note": "x"}, Bytes: []byte(der)}))
}

// Every anchor is there once, whatever the order and however often it is said.
func TestAnchors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ders := rapid.SliceOf(rapid.SampledFrom([]string{"a", "bb", "ccc", "d"})).Draw(t, "anchors")
		var one, two []Bundle
		want := map[string]bool{}
		for _, der := range ders {
			one = append(one, Bundle{Text: "about " + der + "\n" + block(der)})
			want[der] = true
		}
		two = append(two, rapid.Permutation(one).Draw(t, "order")...)
		if len(one) > 0 {
			two = append(two, Bundle{Text: one[0].Text + one[len(one)-1].Text})
		}
		got := Anchors(one)
		if string(got) != string(Anchors(two)) {
			t.Fatalf("the order counts: %s and %s", got, Anchors(two))
		}
		for rest, n := got, 0; ; n++ {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				if n != len(want) || len(rest) > 0 {
					t.Fatalf("%d anchors and %q, want %d", n, rest, len(want))
				}
				break
			}
			if !want[string(b.Bytes)] || len(b.Headers) > 0 {
				t.Fatalf("%+v", b)
			}
		}
	})
}

func TestSelect(t *testing.T) {
	bundles := []Bundle{{Labels: map[string]string{"a": "1"}, Text: "one"}, {Text: "two"}}
	for what, c := range map[string]struct {
		by   *metav1.LabelSelector
		want int
	}{
		"nothing": {nil, 0}, "all": {&metav1.LabelSelector{}, 2}, "one": {&metav1.LabelSelector{MatchLabels: map[string]string{"a": "1"}}, 1},
	} {
		if got, err := Select(bundles, c.by); err != nil || len(got) != c.want {
			t.Errorf("%s: %v %v", what, got, err)
		}
	}
	if _, err := Select(bundles, &metav1.LabelSelector{MatchLabels: map[string]string{"": "x y"}}); err == nil {
		t.Error("nonsense was taken")
	}
}
