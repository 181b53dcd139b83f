// Command within is what the API benchmark runs beside itself on its test host:
//
//	within etcd DIR ADDRESS            an etcd that listens on ADDRESS
//	within memory ETCD DIR SIZE        Berth's API server with its load in one process
//
// ETCD is its URL; with "" the etcd is embedded. The second reads the names of steps, a line each, and answers each with a
// line: what it measured, as JSON. Both end with their standard input.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	//nolint:forbidigo // this is where contexts begin
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "within:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 3 && args[0] == "etcd":
		return serveEtcd(ctx, args[1], args[2], os.Stdin)
	case len(args) == 4 && args[0] == "memory":
		return inMemory(ctx, args[1], args[2], args[3], os.Stdin, os.Stdout)
	}
	return fmt.Errorf("unknown arguments %q", args)
}

// untilClosed ends when in does or ctx.
func untilClosed(ctx context.Context, in io.Reader) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, in)
	}()
	select {
	case <-closed:
	case <-ctx.Done():
	}
}
