package cli

import (
	"strings"
	"testing"

	"berth.dev/berth/internal/datastore"
)

func TestPrintServers(t *testing.T) {
	for want, members := range map[string][]datastore.Member{
		"NAME  ADDRESS  STATE\na     <none>   member, leads the datastore\n": {{Name: "a", URL: "http://localhost:0", Leader: true}},
		"NAME    ADDRESS         STATE\na       192.0.2.1:2380  member\nb       192.0.2.2:2380  joining, does not count yet\n<none>  192.0.2.3:2380  joining, has not started\n": {
			{Name: "a", URL: "https://192.0.2.1:2380"}, {Name: "b", URL: "https://192.0.2.2:2380", Learner: true}, {URL: "https://192.0.2.3:2380", Learner: true},
		},
	} {
		var out strings.Builder
		if err := printServers(&out, members); err != nil || out.String() != want {
			t.Errorf("%v, it says:\n%swant:\n%s", err, out.String(), want)
		}
	}
}
