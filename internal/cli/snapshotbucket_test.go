package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"berth.dev/berth/internal/snapshot"
	"berth.dev/berth/internal/snapshot/s3"
)

// Commands on snapshots take what matters to them from the server's file, and the
// command line wins.
func TestBucketFromTheServersFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "berth.yaml")
	text := "node-name: db1\ndata-dir: /srv/berth\ntoken-file: /server.token\nsnapshot-s3-bucket: backups\nsnapshot-s3-folder: prod\nsnapshot-s3-retention: 9\nsnapshot-s3-timeout: 1m\nsnapshot-s3-skip-ssl-verify: true\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var c connection
	var b bucket
	cmd := &cobra.Command{}
	c.bindDir(cmd)
	b.bind(cmd)
	tokenFile := cmd.Flags().String("token-file", "", "")
	if err := cmd.ParseFlags([]string{"--config", file, "--snapshot-s3-folder", "test"}); err != nil {
		t.Fatal(err)
	}
	if err := b.read(cmd); err != nil {
		t.Fatal(err)
	}
	want := s3.Defaults()
	want.Bucket, want.Folder, want.Timeout, want.SkipVerify = "backups", "test", time.Minute, true
	if diff := cmp.Diff(want, b.Config); diff != "" || c.dataDir != "/srv/berth" || *tokenFile != "" {
		t.Error(diff, c.dataDir, *tokenFile)
	}
	for name, args := range map[string][]string{
		"--snapshot-s3-bucket: the other":    {"--snapshot-s3-folder", "test"},
		"--snapshot-s3-endpoint: a URL with": {"--snapshot-s3-bucket", "b", "--snapshot-s3-endpoint", "https://me:secret@s3.example"},
		"does not exist":                     {"--config", file + ".none"},
	} {
		var b bucket
		cmd := &cobra.Command{}
		b.bind(cmd)
		if err := cmd.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		if err := b.read(cmd); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestPlacesInStatus(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	printPlaces(&out, nil, now)
	printPlaces(&out, &snapshot.State{
		Folder: snapshot.Place{Where: "/srv/snapshots", Newest: "scheduled-20260102T000000Z.db", Time: now.Add(-12 * time.Hour)},
		S3:     &snapshot.Place{Where: "s3://b/c/n", Error: "no bucket", Since: now.Add(-time.Hour)},
	}, now)
	want := "snapshots   /srv/snapshots: the newest 12h old\nsnapshots   s3://b/c/n: none yet\n            fails since 60m: no bucket\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
