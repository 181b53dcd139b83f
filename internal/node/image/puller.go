package image

import (
	"context"
	"fmt"
	"time"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/plan/podsync"
	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/clock"
)

// Puller makes images present.
type Puller struct {
	images runtimeapi.ImageServiceClient
	client kubernetes.Interface
	clock  clock.PassiveClock
	pulled func()
}

// New makes a puller; pulled, unless nil, is told of each image that comes.
func New(images runtimeapi.ImageServiceClient, client kubernetes.Interface, clock clock.PassiveClock, pulled func()) *Puller {
	if pulled == nil {
		pulled = func() {}
	}
	return &Puller{images: images, client: client, clock: clock, pulled: pulled}
}

// Error says why a container's image is not there: the reason of its waiting
// state, and the message.
type Error struct {
	Reason  string
	Message string
}

func (e *Error) Error() string { return e.Message }

// Image is an image that is on the node.
type Image struct {
	Ref  string
	User cri.ImageUser
}

// Tell records an event about the container.
type Tell func(eventType, reason, message string)

// Ensure makes the container's image present. The error is an *Error.
func (p *Puller) Ensure(ctx context.Context, pod *corev1.Pod, c *corev1.Container, config *runtimeapi.PodSandboxConfig, tell Tell) (Image, error) {
	name, err := withTag(c.Image)
	if err != nil {
		message := fmt.Sprintf("Failed to apply default image tag %q: %v", c.Image, err)
		tell(corev1.EventTypeWarning, "InspectFailed", message)
		return Image{}, &Error{podsync.InvalidImageName, message}
	}
	spec := &runtimeapi.ImageSpec{Image: name, Annotations: pod.Annotations}
	found, err := p.inspect(ctx, spec)
	if err != nil {
		message := fmt.Sprintf("Failed to inspect image %q: %v", c.Image, err)
		tell(corev1.EventTypeWarning, "InspectFailed", message)
		return Image{}, &Error{podsync.ImageInspectError, message}
	}
	switch {
	case found != nil && c.ImagePullPolicy != corev1.PullAlways:
		tell(corev1.EventTypeNormal, "Pulled", fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", c.Image))
		return *found, nil
	case c.ImagePullPolicy == corev1.PullNever:
		message := fmt.Sprintf("Container image %q is not present with pull policy of Never", c.Image)
		tell(corev1.EventTypeWarning, podsync.ErrImageNeverPull, message)
		return Image{}, &Error{podsync.ErrImageNeverPull, message}
	}
	return p.pull(ctx, pod, c, spec, config, tell)
}

func (p *Puller) pull(ctx context.Context, pod *corev1.Pod, c *corev1.Container, spec *runtimeapi.ImageSpec, config *runtimeapi.PodSandboxConfig, tell Tell) (Image, error) {
	tell(corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", c.Image))
	began := p.clock.Now()
	var failure error
	for _, auth := range p.credentials(ctx, pod, spec.Image) {
		_, failure = p.images.PullImage(ctx, &runtimeapi.PullImageRequest{Image: spec, Auth: auth, SandboxConfig: config})
		if failure == nil || ctx.Err() != nil {
			break
		}
	}
	if failure != nil {
		tell(corev1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %v", c.Image, failure))
		return Image{}, &Error{podsync.ErrImagePull, failure.Error()}
	}
	p.pulled()
	took := p.clock.Since(began).Truncate(time.Millisecond)
	status, err := p.images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: spec})
	if err != nil || status.Image == nil {
		message := fmt.Sprintf("Failed to inspect image %q: %v", c.Image, err)
		return Image{}, &Error{podsync.ImageInspectError, message}
	}
	tell(corev1.EventTypeNormal, "Pulled", fmt.Sprintf("Successfully pulled image %q in %v (%v including waiting). Image size: %v bytes.", c.Image, took, took, status.Image.Size))
	return describe(status.Image), nil
}

func (p *Puller) inspect(ctx context.Context, spec *runtimeapi.ImageSpec) (*Image, error) {
	status, err := p.images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: spec})
	if err != nil || status.Image == nil {
		return nil, err
	}
	found := describe(status.Image)
	return &found, nil
}

// Present says whether an image is on the node.
func (p *Puller) Present(ctx context.Context, name string) bool {
	name, err := withTag(name)
	if err != nil {
		return false
	}
	found, err := p.inspect(ctx, &runtimeapi.ImageSpec{Image: name})
	return err == nil && found != nil
}

func describe(i *runtimeapi.Image) Image {
	out := Image{Ref: i.Id, User: cri.ImageUser{Name: i.Username}}
	if i.Uid != nil {
		out.User.UID = &i.Uid.Value
	}
	return out
}

// FullName is a reference as the runtime names the image: with its registry and
// its tag, or its digest alone.
func FullName(name string) string {
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return name
	}
	return named.String()
}

// withTag adds ":latest" to a name without tag or digest.
func withTag(name string) (string, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", fmt.Errorf("couldn't parse image name %q: %w", name, err)
	}
	if reference.IsNameOnly(named) {
		name += ":latest"
	}
	return name, nil
}
