#!/usr/bin/env bash
# Builds what a node runs beside berth into the folder given: containerd, its
# runc shim, runc and the CNI plugins from the modules pinned in go.mod, and
# our own two images as archives. Called by `make bundle`.
set -euo pipefail
out=$(realpath -m "${1:?usage: build.sh OUTPUT-FOLDER}")
cd "$(dirname "$0")"
mkdir -p "$out/cni" "$out/images"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

static=(-ldflags "-s -w")
export CGO_ENABLED=0
version=$(go list -m -f '{{.Version}}' github.com/containerd/containerd/v2)
stamp=(-ldflags "-s -w -X github.com/containerd/containerd/v2/version.Version=$version -X github.com/containerd/containerd/v2/version.Package=github.com/containerd/containerd/v2")
go build "${stamp[@]}" -o "$out/containerd" ./containerd
# The shim runs once per pod: without gRPC it stays a small program.
go build -tags no_grpc "${stamp[@]}" -o "$out/containerd-shim-runc-v2" github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2
# runc needs cgo (namespaces are entered in C) and libseccomp for seccomp profiles.
CGO_ENABLED=1 go build -tags "seccomp urfave_cli_no_docs netgo osusergo" \
	-ldflags "-s -w -linkmode external -extldflags -static" -o "$out/runc" github.com/opencontainers/runc
plugins=github.com/containernetworking/plugins/plugins
go build "${static[@]}" -o "$out/cni/" \
	$plugins/main/{loopback,bridge,macvlan,ipvlan,vlan,ptp,host-device} \
	$plugins/ipam/{host-local,static} $plugins/meta/{portmap,tuning}

gcc -Os -static -s -o "$work/pause" pause/pause.c
go build "${static[@]}" -o "$work/demo" ./demo
go build -o "$work/mkimage" ./mkimage
"$work/mkimage" -o "$out/images/pause.tar" -name berth.dev/pause:1 -entrypoint /pause -user 65535:65535 -add "$work/pause:/pause"
"$work/mkimage" -o "$out/images/demo.tar" -name berth.dev/demo:1 -entrypoint /demo -port 8080/tcp -add "$work/demo:/demo"
