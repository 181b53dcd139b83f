package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/network/link"
)

// setUpNetwork makes the node's routes. What they are is on disk first, so that
// they can be removed without knowing with which flags the server ran.
func setUpNetwork(dir datadir.Dir, n link.Node) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := os.WriteFile(dir.Network()+".next", text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(dir.Network()+".next", dir.Network()); err != nil {
		return err
	}
	return link.SetUp(n)
}

// removeNetwork takes the routes, addresses and wires away again.
func removeNetwork(dir datadir.Dir) error {
	text, err := os.ReadFile(dir.Network())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var n link.Node
	if err := json.Unmarshal(text, &n); err != nil {
		return fmt.Errorf("%s: %w", dir.Network(), err)
	}
	if err := link.Remove(n); err != nil {
		return err
	}
	return os.Remove(dir.Network())
}
