package image

import (
	"strings"
	"testing"

	"github.com/distribution/reference"
)

// Whatever a pod calls its image: it is refused, or names one image, with a tag or
// a digest, and is called the same when it is named again.
func FuzzReference(f *testing.F) {
	for _, seed := range []string{
		"", "nginx", "nginx:1", "NGINX", "In Valid", "a/b/c:d", "localhost:5000/x", "localhost:5000/x:y@sha256:" + strings.Repeat("0", 64), "x@sha256:0", ":1", "x:",
		"[::1]:5000/x", "docker.io/library/x", "index.docker.io/x", strings.Repeat("a", 64), "x:" + strings.Repeat("t", 129), "é", "x\x00y", "a..b", "a--b__c", "https://x/y",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		tagged, err := withTag(name)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "couldn't parse image name ") {
				t.Fatalf("%q: %v", name, err)
			}
			if FullName(name) != name && !strings.Contains(name, "@") {
				t.Fatalf("%q is refused and becomes %q", name, FullName(name))
			}
			return
		}
		named, err := reference.ParseNormalizedNamed(tagged)
		if err != nil || reference.IsNameOnly(named) {
			t.Fatalf("%q became %q: %v, %v", name, tagged, named, err)
		}
		if again, err := withTag(tagged); err != nil || again != tagged {
			t.Fatalf("%q became %q, then %q: %v", name, tagged, again, err)
		}
		full := FullName(name)
		if full != FullName(tagged) || full != FullName(full) {
			t.Fatalf("%q is %q, with a tag %q, again %q", name, full, FullName(tagged), FullName(full))
		}
		if !strings.Contains(full, "/") || strings.ContainsAny(full, " \n\x00") {
			t.Fatalf("%q is %q", name, full)
		}
	})
}
