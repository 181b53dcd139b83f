package image

import (
	"io"

	"github.com/containerd/containerd/v2/pkg/archive/compression"
)

// decompress tells gzip and zstd archives from plain ones by their first bytes.
func decompress(r io.Reader) (io.ReadCloser, error) { return compression.DecompressStream(r) }
