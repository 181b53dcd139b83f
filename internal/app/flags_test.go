package app

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite the table of flags in docs/configuration.md")

func flags(c *Config) *pflag.FlagSet {
	f := pflag.NewFlagSet("server", pflag.ContinueOnError)
	c.BindFlags(f)
	return f
}

// The documentation lists exactly the flags that there are.
func TestFlagsAreDocumented(t *testing.T) {
	const (
		file = "../../docs/configuration.md"
		from = "-update -->\n\n"
		to   = "\n<!-- /flags -->"
	)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), from)
	_, after, ok2 := strings.Cut(rest, to)
	if !ok1 || !ok2 {
		t.Fatalf("%s: the table's marks are missing", file)
	}
	table := "| flag | default | meaning |\n|---|---|---|\n"
	c := Defaults()
	flags(&c).VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value := strings.Trim(f.DefValue, "[]")
		if value != "" {
			value = "`" + value + "`"
		}
		table += fmt.Sprintf("| `--%s` | %s | %s |\n", f.Name, value, f.Usage)
	})
	want := before + from + table + to + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), want); diff != "" {
		t.Errorf("%s is not up to date; run go test ./internal/app -update\n%s", file, diff)
	}
}

func TestDefaultsAreValid(t *testing.T) {
	if err := Defaults().Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesTheFlag(t *testing.T) {
	for flag, args := range map[string][]string{
		"https-port":              {"--https-port=0"},
		"agent-port":              {"--agent-port=70000"},
		"bind-address":            {"--bind-address=here"},
		"advertise-address":       {"--advertise-address=there"},
		"node-ip":                 {"--node-ip=1.2.3"},
		"node-name":               {"--node-name=Web_0"},
		"cluster-domain":          {"--cluster-domain=-"},
		"cluster-cidr":            {"--cluster-cidr=10.42.0.1/16"},
		"service-cidr":            {"--service-cidr=10.42.128.0/24"},
		"load-balancer-pool":      {"--load-balancer-pool=10.43.0.1-10.43.0.9"},
		"log-level":               {"--log-level=loud"},
		"disable":                 {"--disable=cake"},
		"datastore-certfile":      {"--datastore-certfile=a.crt"},
		"max-pods":                {"--max-pods=0"},
		"image-gc-low-threshold":  {"--image-gc-high-threshold=50"},
		"image-gc-high-threshold": {"--image-gc-high-threshold=101"},
		"container-log-max-size":  {"--container-log-max-size=lots"},
		"container-log-max-files": {"--container-log-max-files=1"},
		"scheduler-profile":       {"--scheduler-profile=batch=BestFit"},
		"feature-gates":           {"--feature-gates=Nonsense=true"},
		"oidc-issuer-url":         {"--oidc-issuer-url=https://a.example"},
		"authentication-config":   {"--authentication-config=a", "--oidc-issuer-url=https://a.example", "--oidc-client-id=b"},
		"audit-policy-file":       {"--audit-log-path=/a"},
		"audit":                   {"--audit-policy-file=/a", "--audit-log-path=/a", "--audit-log-mode=never"},
		"secrets-encryption":      {"--secrets-encryption", "--encryption-provider-config=/a"},
		"encryption-provider-config-automatic-reload": {"--encryption-provider-config-automatic-reload"},
		"service-account-max-token-expiration":        {"--service-account-max-token-expiration=1m"},
		"snapshot-s3-bucket":                          {"--snapshot-s3-folder=prod"},
		"snapshot-s3-endpoint":                        {"--snapshot-s3-bucket=b", "--snapshot-s3-endpoint=https://a:b@s3.example"},
		"snapshot-s3-folder":                          {"--snapshot-s3-bucket=b", "--snapshot-s3-folder=../c"},
		"snapshot-s3-bucket-lookup-type":              {"--snapshot-s3-bucket=b", "--snapshot-s3-bucket-lookup-type=host"},
		"snapshot-s3-skip-ssl-verify":                 {"--snapshot-s3-bucket=b", "--snapshot-s3-skip-ssl-verify", "--snapshot-s3-endpoint-ca=/a"},
		"snapshot-s3-timeout":                         {"--snapshot-s3-bucket=b", "--snapshot-s3-timeout=0"},
		"snapshot-s3-retention":                       {"--snapshot-s3-bucket=b", "--snapshot-s3-retention=-1"},
	} {
		c := Defaults()
		if err := flags(&c).Parse(args); err != nil {
			t.Fatal(err)
		}
		err := c.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), "--"+flag+":") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v; want one line about --%s", args, err, flag)
		}
	}
}

func TestReadFile(t *testing.T) {
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "berth.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	c := Defaults()
	f := flags(&c)
	if err := f.Parse([]string{"--node-name=mine"}); err != nil {
		t.Fatal(err)
	}
	err := ReadFile(write("node-name: theirs\nhttps-port: 7443\ndisable-agent: true\ntls-san: [a.example, 192.0.2.1]\nsystem-reserved: {cpu: 100m, memory: 1Gi}\n"), f)
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.NodeName, want.HTTPSPort, want.DisableAgent = "mine", 7443, true
	want.TLSSANs, want.SystemReserved = []string{"a.example", "192.0.2.1"}, map[string]string{"cpu": "100m", "memory": "1Gi"}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	for text, part := range map[string]string{
		"nodename: a":         `unknown key "nodename"`,
		"config: other":       `unknown key "config"`,
		"https-port: many":    "https-port",
		"a: b: c":             "berth.yaml",
		"disable-agent: soon": "disable-agent",
	} {
		c := Defaults()
		if err := ReadFile(write(text), flags(&c)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: got %v; want a word about %s", text, err, part)
		}
	}
	if err := ReadFile("/nowhere/berth.yaml", f); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("got %v", err)
	}
}

// TestShown says what the flags are, those that nobody set among them.
func TestShown(t *testing.T) {
	c := Defaults()
	c.HTTPSPort, c.TLSSANs = 7443, []string{"a.example.org"}
	got := c.shown().GetFlagz()
	for name, want := range map[string]string{"https-port": "7443", "tls-san": "[a.example.org]", "cluster-domain": "cluster.local"} {
		if got[name] != want {
			t.Errorf("--%s is shown as %q, want %q", name, got[name], want)
		}
	}
}
