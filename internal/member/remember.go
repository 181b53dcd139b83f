package member

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"berth.dev/berth/internal/base/datadir"
)

// State is how far a server is with being one of several.
type State string

// A server that is alone, and always was, has the empty one.
const (
	// Joining has no data yet that counts.
	Joining State = "joining"
	// Joined is one of several, or was when it looked last.
	Joined State = "joined"
	// Removed has data of a cluster that does not know it any more.
	Removed State = "removed"
)

// Memory is what a server remembers between two runs.
type Memory struct {
	State State `json:"state"`
	// Server is its name.
	Server string `json:"server"`
}

// Read is the zero Memory when there is no file.
func Read(file string) (Memory, error) {
	var m Memory
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil && m.State != Joining && m.State != Joined && m.State != Removed {
		err = fmt.Errorf("%q is no state", m.State)
	}
	if err != nil {
		return m, fmt.Errorf("%s: %w; if this server is one of several write %s there, else delete it", file, err, `{"state":"joined"}`)
	}
	return m, nil
}

// Write puts m into file, unless it is there.
func (m Memory) Write(file string) error {
	if have, err := Read(file); err == nil && have == m {
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return datadir.WriteFile(file, text)
}
