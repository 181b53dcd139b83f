package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/clock"
)

const (
	// collectEvery is how often the disk is looked at.
	collectEvery = 5 * time.Minute
	// listEvery is how often images are listed that nobody told of: they were
	// imported or removed by hand.
	listEvery = 30 * time.Second
	// mostShown are the images in the node's status, mostNames the names of one.
	mostShown = 50
	mostNames = 5
)

// CollectorConfig is what removing images needs.
type CollectorConfig struct {
	Images  runtimeapi.ImageServiceClient
	Runtime runtimeapi.RuntimeServiceClient
	// Mounted are the images that pods mount as volumes, by name.
	Mounted func() []string
	// Disk is the size of the disk that images are on, and what is free of it.
	Disk func() (capacity, available int64, err error)
	// High is the part of the disk, in percent, from which on unused images
	// are removed until Low is reached.
	High, Low int
	// MinAge is how long an image is left alone after it was first seen.
	MinAge time.Duration
	// Event records an event about the node, Listed is told that the node's
	// images have changed.
	Event  func(kind, reason, message string)
	Listed func()
	Clock  clock.Clock
	Log    *slog.Logger
}

// Collector knows the node's images, and removes unused ones when the disk is
// nearly full, those that were longest unused first. Pinned images stay: the
// sandbox's, and whatever came from an archive and cannot be pulled again.
type Collector struct {
	cfg CollectorConfig
	// changed wakes Run when an image was pulled.
	changed chan struct{}

	mu    sync.Mutex
	seen  map[string]*record
	shown []corev1.ContainerImage
}

// record is what is remembered of an image.
type record struct {
	first time.Time // when it was first seen
	used  time.Time // when a container of it was last seen
	size  int64
}

// NewCollector makes a collector; Run starts it.
func NewCollector(cfg CollectorConfig) *Collector {
	return &Collector{cfg: cfg, changed: make(chan struct{}, 1), seen: map[string]*record{}}
}

// Changed says that an image has come or gone.
func (c *Collector) Changed() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// Images is the list for the node's status: the largest first.
func (c *Collector) Images() []corev1.ContainerImage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown
}

// Run works until ctx ends.
func (c *Collector) Run(ctx context.Context) {
	// Every image is as good as new at first: what is unused cannot be told yet.
	collected, failed := c.cfg.Clock.Now(), false
	if _, err := c.unused(ctx, collected); err != nil && ctx.Err() == nil {
		c.cfg.Log.Warn("the node's images cannot be listed", "error", err)
	}
	for {
		if err := c.list(ctx); err != nil && ctx.Err() == nil {
			c.cfg.Log.Warn("the node's images cannot be listed", "error", err)
		}
		if c.cfg.Clock.Since(collected) >= collectEvery {
			collected = c.cfg.Clock.Now()
			err := c.Collect(ctx)
			if err != nil && ctx.Err() == nil {
				c.cfg.Log.Warn("removing unused images", "error", err)
				if failed { // once may be bad luck
					c.cfg.Event(corev1.EventTypeWarning, "ImageGCFailed", err.Error())
				}
			}
			failed = err != nil
		}
		timer := c.cfg.Clock.NewTimer(listEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		case <-c.changed:
		}
		timer.Stop()
	}
}

// list reads the images for the node's status.
func (c *Collector) list(ctx context.Context) error {
	answer, err := c.cfg.Images.ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		return err
	}
	slices.SortStableFunc(answer.Images, func(a, b *runtimeapi.Image) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Id, b.Id))
	})
	shown := []corev1.ContainerImage{}
	for _, i := range answer.Images {
		names := append(slices.Clone(i.RepoDigests), i.RepoTags...)
		if len(names) > 0 && len(shown) < mostShown {
			shown = append(shown, corev1.ContainerImage{Names: names[:min(len(names), mostNames)], SizeBytes: int64(i.Size)})
		}
	}
	c.mu.Lock()
	same := slices.EqualFunc(shown, c.shown, func(a, b corev1.ContainerImage) bool {
		return a.SizeBytes == b.SizeBytes && slices.Equal(a.Names, b.Names)
	})
	c.shown = shown
	c.mu.Unlock()
	if !same {
		c.cfg.Listed()
	}
	return nil
}

// Collect removes unused images if the disk is nearly full. It is an error when
// that does not free enough.
func (c *Collector) Collect(ctx context.Context) error {
	if c.cfg.High >= 100 {
		return nil
	}
	capacity, available, err := c.cfg.Disk()
	if err != nil {
		return fmt.Errorf("reading the disk's size: %w", err)
	}
	now := c.cfg.Clock.Now()
	unused, err := c.unused(ctx, now)
	if err != nil {
		return err
	}
	if capacity <= 0 {
		c.cfg.Event(corev1.EventTypeWarning, "InvalidDiskCapacity", fmt.Sprintf("invalid capacity %d on image filesystem", capacity))
		return fmt.Errorf("invalid capacity %d on image filesystem", capacity)
	}
	available = min(available, capacity)
	if used := 100 - available*100/capacity; used < int64(c.cfg.High) {
		return nil
	}
	want := capacity*int64(100-c.cfg.Low)/100 - available
	c.cfg.Log.Info("the disk is nearly full: removing unused images", "bytes", want)
	freed, err := c.remove(ctx, unused, want, now)
	if err != nil {
		return err
	}
	if freed < want {
		message := fmt.Sprintf("Failed to garbage collect required amount of images. Attempted to free %d bytes, but only found %d bytes eligible to free.", want, freed)
		c.cfg.Event(corev1.EventTypeWarning, "FreeDiskSpaceFailed", message)
		return errors.New(message)
	}
	return nil
}

// RemoveUnused removes every image that no container uses, whatever its age: the
// disk is so full that pods would have to go.
func (c *Collector) RemoveUnused(ctx context.Context) (freed int64, err error) {
	now := c.cfg.Clock.Now()
	unused, err := c.unused(ctx, now)
	if err != nil {
		return 0, err
	}
	for _, i := range unused {
		i.first = time.Time{}
	}
	return c.remove(ctx, unused, 1<<62, now)
}

// Reclaim is RemoveUnused for whom the number of bytes is of no use.
func (c *Collector) Reclaim(ctx context.Context) error {
	_, err := c.RemoveUnused(ctx)
	return err
}

// candidate is an image that may go.
type candidate struct {
	id string
	record
}

// unused lists the images that no container has, the longest unused first.
func (c *Collector) unused(ctx context.Context, now time.Time) ([]*candidate, error) {
	// Containers first: what is started meanwhile was pulled a moment ago.
	containers, err := c.cfg.Runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
	if err != nil {
		return nil, fmt.Errorf("listing containers: %w", err)
	}
	answer, err := c.cfg.Images.ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("listing images: %w", err)
	}
	used := map[string]bool{}
	for _, one := range containers.Containers {
		used[one.ImageId], used[one.ImageRef], used[one.GetImage().GetImage()] = true, true, true
	}
	for _, name := range c.cfg.Mounted() {
		used[FullName(name)] = true
	}
	delete(used, "")
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[string]*record{}
	var out []*candidate
	for _, i := range answer.Images {
		r := c.seen[i.Id]
		if r == nil {
			r = &record{first: now}
		}
		seen[i.Id], r.size = r, int64(i.Size)
		names := append(append([]string{i.Id}, i.RepoTags...), i.RepoDigests...)
		if slices.ContainsFunc(names, func(n string) bool { return used[n] }) {
			r.used = now
		} else if !i.Pinned {
			out = append(out, &candidate{i.Id, *r})
		}
	}
	c.seen = seen
	slices.SortFunc(out, func(a, b *candidate) int {
		return cmp.Or(a.used.Compare(b.used), a.first.Compare(b.first), cmp.Compare(a.id, b.id))
	})
	return out, nil
}

// remove removes images until want bytes are free.
func (c *Collector) remove(ctx context.Context, images []*candidate, want int64, now time.Time) (freed int64, err error) {
	var errs []error
	for _, i := range images {
		if freed >= want {
			break
		}
		if now.Sub(i.first) < c.cfg.MinAge {
			continue
		}
		c.cfg.Log.Info("removing an unused image", "image", i.id, "bytes", i.size)
		if _, err := c.cfg.Images.RemoveImage(ctx, &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: i.id}}); err != nil {
			errs = append(errs, fmt.Errorf("remove image %s: %w", i.id, err))
			continue
		}
		freed += i.size
	}
	if freed > 0 {
		c.Changed()
	}
	return freed, errors.Join(errs...)
}
