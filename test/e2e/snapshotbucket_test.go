package e2e

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/snapshot/s3/s3test"
	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// snapshotBucket is an S3-compatible store in the cluster's network, which denies
// everything at first.
type snapshotBucket struct {
	*s3test.Store
	config  string // of the server
	damaged string // the URL of a snapshot that is
}

func newBucket(t *testing.T, h *host.Host) *snapshotBucket {
	t.Helper()
	b := &snapshotBucket{Store: s3test.New(t, "backups"), config: filepath.Join(h.Dir, "berth.yaml")}
	b.Fault(s3test.Deny(http.StatusForbidden, "AccessDenied", "Access Denied."))
	listener, err := h.Listen("tcp", net.JoinHostPort(h.Addr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	authority := filepath.Join(h.Dir, "store.pem")
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: b, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}}
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{selfSigned(t, h.Addr, authority)}}
	server.StartTLS()
	t.Cleanup(server.Close)
	text := ""
	for key, value := range map[string]string{
		"snapshot-schedule": "@every 2s", "snapshot-retention": "3", "snapshot-s3-retention": "2", "snapshot-s3-bucket": "backups", "snapshot-s3-folder": "prod",
		"snapshot-s3-endpoint": "https://" + listener.Addr().String(), "snapshot-s3-endpoint-ca": authority, "snapshot-s3-credentials-file": s3test.Credentials(t),
	} {
		text += key + ": " + strconv.Quote(value) + "\n"
	}
	if err := os.WriteFile(b.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return b
}

// othersKeys are what others have there, by the very names that ours have.
var othersKeys = []string{"prod/scheduled-20200101T000000Z.db", "prod/0123456789ab/snap/scheduled-20200101T000000Z.db"}

// kept says that what no server may remove is there still.
func (b *snapshotBucket) kept(t *testing.T, copied string) {
	t.Helper()
	for _, key := range append(othersKeys, strings.TrimPrefix(copied, "s3://backups/")) {
		if !slices.Contains(b.Keys(), key) {
			t.Errorf("%s is gone from the bucket", key)
		}
	}
}

// story is the life of the bucket while the server runs. It returns the URL of a
// snapshot that was saved there.
func (b *snapshotBucket) story(t *testing.T, c *cluster.Cluster, must func(...string) string, refused func(string, ...string)) string {
	t.Helper()
	// The store denies: the server says so, and runs as before.
	c.Eventually(60*time.Second, "", func() string {
		out := must("status")
		if !strings.Contains(out, `denies access to bucket "backups"`) || !strings.Contains(out, "snapshots   "+filepath.Join(c.Data, "snapshots")+": the newest ") {
			return out
		}
		return ""
	})
	refused("is saved, and not copied: ", "snapshot", "save", "--config", b.config)
	refused("denies access", "snapshot", "ls", "--config", b.config)
	for _, key := range othersKeys {
		b.Put(key, "another's")
	}
	b.Fault(nil)
	var oldest string
	scheduled := func() (mine []string) {
		for _, key := range b.Keys() {
			if strings.HasPrefix(key, "prod/") && strings.Contains(key, "/snap/scheduled-") && !strings.HasPrefix(key, "prod/0123456789ab/") {
				mine = append(mine, key)
			}
		}
		return mine
	}
	c.Eventually(120*time.Second, "", func() string {
		mine := scheduled()
		if len(mine) > 0 && oldest == "" {
			oldest = mine[0]
		}
		if len(mine) != 2 || mine[0] == oldest || strings.Contains(must("status"), "fails since") {
			return strings.Join(mine, " ") + " are copied; the oldest was " + oldest
		}
		return ""
	})
	out := must("snapshot", "save", "--config", b.config)
	_, copied, ok := strings.Cut(out, "\ns3://")
	copied, _, ok2 := strings.Cut("s3://"+copied, ": copied")
	if !ok || !ok2 {
		t.Fatal(out)
	}
	says(t, "metrics", c.Kubectl("get", "--raw", "/metrics"), `berth_snapshot_newest_timestamp_seconds{place="s3"} 1`, `berth_snapshot_failures_total{place="s3"} `)
	out = must("snapshot", "ls", "--config", b.config)
	says(t, "ls with the bucket", out, "\n"+copied+" ", "\nsaved-", "\ns3://backups/prod/0123456789ab/snap/scheduled-20200101T000000Z.db ", "<unknown>", "/snap/scheduled-")
	for _, where := range []string{c.Log(), out, must("status", "-o", "json"), c.Kubectl("get", "--raw", "/flagz"), strings.Join(c.Host.Processes(), "\n")} {
		if strings.Contains(where, s3test.Secret) || strings.Contains(where, s3test.AccessKey) {
			t.Error("the credentials are shown to others")
		}
	}
	// A copy of it that one bit has flipped in.
	key := strings.TrimPrefix(copied, "s3://backups/")
	b.damaged = strings.Replace(copied, "saved-", "saved-damaged-", 1)
	b.Damage(key, strings.TrimPrefix(b.damaged, "s3://backups/"))
	return copied
}
