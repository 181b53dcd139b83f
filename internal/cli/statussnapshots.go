package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/internal/snapshot"
)

// snapshots is how the server's scheduled snapshots get on; nil when it takes
// none, or we may not know.
func (c *connection) snapshots(ctx context.Context, client kubernetes.Interface) *snapshot.State {
	text, err := client.Discovery().RESTClient().Get().AbsPath(snapshot.StatePath).DoRaw(ctx)
	var s snapshot.State
	if err != nil || json.Unmarshal(text, &s) != nil {
		return nil
	}
	return &s
}

func printPlaces(to io.Writer, s *snapshot.State, now time.Time) {
	if s == nil {
		return
	}
	places := []*snapshot.Place{&s.Folder, s.S3}
	for _, p := range places {
		if p == nil {
			continue
		}
		newest := "none yet"
		if p.Newest != "" {
			newest = "the newest " + duration.HumanDuration(now.Sub(p.Time)) + " old"
		}
		fmt.Fprintf(to, "snapshots   %s: %s\n", p.Where, newest)
		if p.Error != "" {
			fmt.Fprintf(to, "            fails since %s: %s\n", duration.HumanDuration(now.Sub(p.Since)), p.Error)
		}
	}
}
