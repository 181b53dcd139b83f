package kubectl

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChoose(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want choice
		err  string
	}{
		{"default directory", []string{"get", "pods"}, choice{[]string{"get", "pods"}, "/var/lib/berth/kubeconfig"}, ""},
		{"data dir before", []string{"--data-dir", "/srv/b", "get"}, choice{[]string{"get"}, "/srv/b/kubeconfig"}, ""},
		{"data dir behind", []string{"get", "--data-dir=/srv/b"}, choice{[]string{"get"}, "/srv/b/kubeconfig"}, ""},
		{"kubeconfig wins", []string{"--kubeconfig=/k", "--data-dir=/srv/b", "get"}, choice{[]string{"--kubeconfig=/k", "get"}, ""}, ""},
		{"kubeconfig in two words", []string{"get", "--kubeconfig", "/k"}, choice{[]string{"get", "--kubeconfig", "/k"}, ""}, ""},
		{
			"the command's own flags stay",
			[]string{"exec", "p", "--", "sh", "--data-dir", "x", "--kubeconfig=y"},
			choice{[]string{"exec", "p", "--", "sh", "--data-dir", "x", "--kubeconfig=y"}, "/var/lib/berth/kubeconfig"},
			"",
		},
		{"missing value", []string{"get", "--data-dir"}, choice{}, "flag needs an argument: --data-dir"},
		{"empty value", []string{"--data-dir="}, choice{}, "--data-dir must not be empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := choose(tc.args)
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Fatalf("error %v, want %s", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(choice{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNeedsCluster(t *testing.T) {
	for args, want := range map[string]bool{
		"":                                     false,
		"get pods":                             true,
		"get pods --help":                      false,
		"-n x get pods":                        true,
		"version":                              true,
		"version --client":                     false,
		"version --client=true":                false,
		"config view":                          false,
		"completion bash":                      false,
		"__complete get po":                    false,
		"create cm x --dry-run=client -o yaml": false,
		"exec p -- sh --help":                  true,
		"-s http://x get pods":                 false,
		"apply -f x.yaml":                      true,
	} {
		if got := needsCluster(strings.Fields(args)); got != want {
			t.Errorf("%q: got %v", args, got)
		}
	}
}

func TestNoCluster(t *testing.T) {
	dir := t.TempDir()
	c := New()
	c.SetArgs([]string{"--data-dir", dir, "get", "pods"})
	want := "no cluster in " + dir + ": " + dir + "/kubeconfig does not exist; start one with `berth server`, or name another with --data-dir or --kubeconfig"
	t.Setenv("KUBECONFIG", "")
	if err := c.Execute(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
