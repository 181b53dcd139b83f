package cri_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"berth.dev/berth/internal/node/cri/fakecri"
)

// containerd answers before its CRI plugin has initialized.
func TestAwaitVersion(t *testing.T) {
	runtime := fakecri.New()
	defer runtime.Close()
	client := runtime.Dial()
	defer client.Close()
	asked := 0
	runtime.SetFail(func(method string, _ any) error {
		if method == "Version" {
			asked++
			if asked < 4 {
				return status.Error(codes.Unavailable, "server is not initialized yet")
			}
		}
		return nil
	})
	v, err := client.AwaitVersion(t.Context())
	if err != nil || v.RuntimeName == "" || asked != 4 {
		t.Fatalf("got %v, %v after %d questions", v, err, asked)
	}

	runtime.SetFail(func(string, any) error { return status.Error(codes.Unimplemented, "no such service") })
	if _, err := client.AwaitVersion(t.Context()); status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v", err)
	}

	runtime.SetFail(func(string, any) error { return status.Error(codes.Unavailable, "never") })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.AwaitVersion(ctx); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
