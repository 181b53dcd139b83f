// Package image keeps the images of one instance's containerd: archives are
// imported without a registry, and images are listed, pulled and removed.
package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	dockerconfig "github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
)

const (
	// namespace is where CRI keeps its images.
	namespace   = "k8s.io"
	snapshotter = "overlayfs"
	// managed is the label by which CRI knows an image as its own.
	managed = "io.cri-containerd.image"
	// pinned is the label by which CRI keeps an image that nothing uses: what
	// came from an archive cannot be pulled again.
	pinned = "io.cri-containerd.pinned"
	// archiveLabel records the archive an image came from: its size and change
	// time, so that an unchanged archive is not imported again at each start.
	archiveLabel = "berth.dev/archive"
)

// Store is the image store behind a containerd socket.
type Store struct {
	client *containerd.Client
}

// Open connects to the containerd at socket.
func Open(socket string) (*Store, error) {
	client, err := containerd.New(socket, containerd.WithDefaultNamespace(namespace), containerd.WithTimeout(10*time.Second))
	if err != nil {
		return nil, fmt.Errorf("the container runtime at %s does not answer: %w (is berth running?)", socket, err)
	}
	return &Store{client: client}, nil
}

// Close ends the connection.
func (s *Store) Close() error { return s.client.Close() }

// Image is one name in the store.
type Image struct {
	Name    string
	Digest  string
	Size    int64 // bytes of compressed content
	Created time.Time
}

// Import reads OCI or docker archives (plain or gzip) and unpacks them. It
// returns the names that they brought.
func (s *Store) Import(ctx context.Context, files ...string) ([]string, error) {
	var names []string
	for _, file := range files {
		got, err := s.importFile(ctx, file, nil)
		if err != nil {
			return names, fmt.Errorf("import %s: %w", file, err)
		}
		names = append(names, got...)
	}
	return names, nil
}

// Ensure imports those archives that the store does not hold yet in this version.
func (s *Store) Ensure(ctx context.Context, files ...string) error {
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("the bundle is incomplete: %w", err)
		}
		stamp := fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())
		have, err := s.client.ImageService().List(ctx, fmt.Sprintf("labels.%q==%s", archiveLabel, stamp))
		if err != nil {
			return err
		}
		if len(have) > 0 {
			continue
		}
		if _, err := s.importFile(ctx, file, map[string]string{archiveLabel: stamp}); err != nil {
			return fmt.Errorf("import %s: %w", file, err)
		}
	}
	return nil
}

func (s *Store) importFile(ctx context.Context, file string, labels map[string]string) ([]string, error) {
	ctx = namespaces.WithNamespace(ctx, namespace)
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stream, err := decompress(f)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	labels = withManaged(labels)
	labels[pinned] = "pinned"
	found, err := s.client.Import(ctx, stream,
		containerd.WithImageLabels(labels),
		containerd.WithImportPlatform(platforms.Default()),
		containerd.WithSkipMissing())
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("the archive names no image: save it with a name and tag")
	}
	var names []string
	for _, im := range found {
		if err := containerd.NewImage(s.client, im).Unpack(ctx, snapshotter); err != nil {
			return nil, fmt.Errorf("unpack %s: %w", im.Name, err)
		}
		names = append(names, im.Name)
	}
	return names, nil
}

func withManaged(labels map[string]string) map[string]string {
	all := map[string]string{managed: "managed"}
	for k, v := range labels {
		all[k] = v
	}
	return all
}

// List returns all named images, by name.
func (s *Store) List(ctx context.Context) ([]Image, error) {
	ctx = namespaces.WithNamespace(ctx, namespace)
	all, err := s.client.ImageService().List(ctx)
	if err != nil {
		return nil, err
	}
	var out []Image
	for _, im := range all {
		if strings.HasPrefix(im.Name, "sha256:") {
			continue // CRI's alias of a named image
		}
		size, err := containerd.NewImage(s.client, im).Size(ctx)
		if err != nil {
			size = -1
		}
		out = append(out, Image{Name: im.Name, Digest: im.Target.Digest.String(), Size: size, Created: im.CreatedAt})
	}
	slices.SortFunc(out, func(a, b Image) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Pull fetches an image by name through the hosts.toml files in certsDir.
func (s *Store) Pull(ctx context.Context, name, certsDir string) (Image, error) {
	ctx = namespaces.WithNamespace(ctx, namespace)
	full, err := normalize(name)
	if err != nil {
		return Image{}, err
	}
	hosts := dockerconfig.HostOptions{HostDir: dockerconfig.HostDirFromRoot(certsDir)}
	im, err := s.client.Pull(ctx, full,
		containerd.WithPullUnpack, containerd.WithPullSnapshotter(snapshotter),
		containerd.WithPullLabels(withManaged(nil)),
		containerd.WithResolver(docker.NewResolver(docker.ResolverOptions{Hosts: dockerconfig.ConfigureHosts(ctx, hosts)})))
	if err != nil {
		return Image{}, err
	}
	size, err := im.Size(ctx)
	return Image{Name: im.Name(), Digest: im.Target().Digest.String(), Size: size}, err
}

// Remove deletes images by name.
func (s *Store) Remove(ctx context.Context, names ...string) error {
	ctx = namespaces.WithNamespace(ctx, namespace)
	var problems []error
	for _, name := range names {
		full, err := normalize(name)
		if err == nil {
			err = s.client.ImageService().Delete(ctx, full, images.SynchronousDelete())
		}
		if errdefs.IsNotFound(err) {
			err = fmt.Errorf("image %s is not here", name)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// normalize gives a short name its registry and tag, as the CRI does.
func normalize(name string) (string, error) {
	ref, err := reference.ParseDockerRef(name)
	if err != nil {
		return "", fmt.Errorf("image name %q: %w", name, err)
	}
	return ref.String(), nil
}
