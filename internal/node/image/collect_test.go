package image

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	testclock "k8s.io/utils/clock/testing"
)

// store has images and containers; removing an image frees its bytes.
type store struct {
	runtimeapi.ImageServiceClient
	runtimeapi.RuntimeServiceClient
	images     []*runtimeapi.Image
	containers []*runtimeapi.Container
	removed    []string
}

func (s *store) ListImages(context.Context, *runtimeapi.ListImagesRequest, ...grpc.CallOption) (*runtimeapi.ListImagesResponse, error) {
	return &runtimeapi.ListImagesResponse{Images: append([]*runtimeapi.Image(nil), s.images...)}, nil
}

func (s *store) ListContainers(context.Context, *runtimeapi.ListContainersRequest, ...grpc.CallOption) (*runtimeapi.ListContainersResponse, error) {
	return &runtimeapi.ListContainersResponse{Containers: s.containers}, nil
}

func (s *store) RemoveImage(_ context.Context, r *runtimeapi.RemoveImageRequest, _ ...grpc.CallOption) (*runtimeapi.RemoveImageResponse, error) {
	for n, i := range s.images {
		if i.Id == r.Image.Image {
			s.images = append(s.images[:n], s.images[n+1:]...)
			s.removed = append(s.removed, i.Id)
			return &runtimeapi.RemoveImageResponse{}, nil
		}
	}
	return nil, fmt.Errorf("no image %s", r.Image.Image)
}

func (s *store) size() (sum int64) {
	for _, i := range s.images {
		sum += int64(i.Size)
	}
	return sum
}

func bench() (*Collector, *store, *testclock.FakeClock, *[]string) {
	s := &store{images: []*runtimeapi.Image{
		{Id: "pause", Size: 1, Pinned: true, RepoTags: []string{"pause:1"}},
		{Id: "old", Size: 100, RepoTags: []string{"old:1"}},
		{Id: "web", Size: 200, RepoTags: []string{"web:1"}, RepoDigests: []string{"web@sha256:1"}},
		{Id: "vol", Size: 50, RepoTags: []string{"docker.io/library/vol:1"}},
		{Id: "nameless", Size: 70},
	}, containers: []*runtimeapi.Container{{ImageId: "web"}}}
	clk := testclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	said := &[]string{}
	return NewCollector(CollectorConfig{
		Images: s, Runtime: s, High: 85, Low: 80, MinAge: 2 * time.Minute, Clock: clk, Log: slog.New(slog.DiscardHandler),
		Mounted: func() []string { return []string{"vol:1"} },
		Disk:    func() (int64, int64, error) { return 1000, 550 - s.size(), nil },
		Event:   func(kind, reason, message string) { *said = append(*said, kind+" "+reason+" "+message) },
		Listed:  func() { *said = append(*said, "listed") },
	}), s, clk, said
}

func TestCollect(t *testing.T) {
	c, s, clk, said := bench()
	collect := func(wantErr bool, removed ...string) {
		t.Helper()
		s.removed = nil
		if err := c.Collect(t.Context()); (err != nil) != wantErr {
			t.Errorf("%v", err)
		}
		if diff := cmp.Diff(removed, s.removed); diff != "" {
			t.Error(diff)
		}
		clk.Step(5 * time.Minute)
	}
	// All images are young: none goes, though the disk is 87 % full.
	collect(true)
	want := "Warning FreeDiskSpaceFailed Failed to garbage collect required amount of images. Attempted to free 71 bytes, but only found 0 bytes eligible to free."
	if len(*said) != 1 || (*said)[0] != want {
		t.Errorf("%q", *said)
	}
	// The first one frees enough.
	collect(false, "nameless", "old")
	// 70 % full: nothing to do, though there are unused ones.
	s.containers = nil
	collect(false)
	// A disk that is full takes the image that was in use until now, too, but
	// neither the pinned one nor what a pod has mounted.
	c.cfg.Disk = func() (int64, int64, error) { return 1000, 0, nil }
	clk.Step(time.Minute)
	collect(false, "web")
	collect(true)
	c.cfg.Disk = func() (int64, int64, error) { return 0, 0, nil }
	if err := c.Collect(t.Context()); err == nil || err.Error() != "invalid capacity 0 on image filesystem" {
		t.Error(err)
	}
}

func TestRemoveUnused(t *testing.T) {
	c, s, _, _ := bench()
	freed, err := c.RemoveUnused(t.Context())
	if err != nil || freed != 170 {
		t.Errorf("%d %v", freed, err)
	}
	if diff := cmp.Diff([]string{"nameless", "old"}, s.removed); diff != "" {
		t.Error(diff)
	}
}

func TestImagesOfTheNode(t *testing.T) {
	c, s, _, said := bench()
	for range 2 {
		if err := c.list(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := []corev1.ContainerImage{
		{Names: []string{"web@sha256:1", "web:1"}, SizeBytes: 200},
		{Names: []string{"old:1"}, SizeBytes: 100},
		{Names: []string{"docker.io/library/vol:1"}, SizeBytes: 50},
		{Names: []string{"pause:1"}, SizeBytes: 1},
	}
	if diff := cmp.Diff(want, c.Images()); diff != "" {
		t.Error(diff)
	}
	for n := range 60 {
		s.images = append(s.images, &runtimeapi.Image{Id: fmt.Sprint(n), Size: 7, RepoTags: []string{"a:1", "a:2", "a:3", "a:4", "a:5", "a:6"}})
	}
	if err := c.list(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.Images(); len(got) != 50 || len(got[40].Names) != 5 {
		t.Errorf("%d images, %d names", len(got), len(got[40].Names))
	}
	if diff := cmp.Diff([]string{"listed", "listed"}, *said); diff != "" {
		t.Error(diff)
	}
}
