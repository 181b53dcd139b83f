package snapshot

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// StatePath is where the API server says how snapshots get on.
const StatePath = Path + "/state"

// State is how the scheduled snapshots of a server get on.
type State struct {
	Folder Place  `json:"folder"`
	S3     *Place `json:"s3,omitempty"`
}

// Place is where snapshots are kept.
type Place struct {
	Where string `json:"where"`
	// Newest is the newest snapshot there, and when it was taken.
	Newest string    `json:"newest,omitempty"`
	Time   time.Time `json:"time,omitzero"`
	// Error is what was wrong the last time, Since when that began.
	Error string    `json:"error,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Failures are all that there were since the server began.
	Failures int `json:"failures,omitempty"`
}

// Report collects the State, and shows it to those who scrape metrics. A nil one
// collects nothing.
type Report struct {
	mu    sync.Mutex
	state State
}

// NewReport begins with what is known before anything is done.
func NewReport(folder Folder, bucket string) *Report {
	r := &Report{state: State{Folder: Place{Where: string(folder)}}}
	if bucket != "" {
		r.state.S3 = &Place{Where: bucket}
	}
	if all, err := folder.List(); err == nil {
		r.state.Folder.newest(scheduledOf(all))
	}
	registerMetrics()
	r.state.Folder.measure("folder", nil)
	if r.state.S3 != nil {
		r.state.S3.measure("s3", nil)
	}
	return r
}

// State is as it is now.
func (r *Report) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state
	if s.S3 != nil {
		copied := *s.S3
		s.S3 = &copied
	}
	return s
}

func (r *Report) folder(newest []string, err error, at time.Time) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Folder.done(newest, err, at)
	r.state.Folder.measure("folder", err)
}

func (r *Report) bucket(there []string, err error, at time.Time) {
	if r == nil || r.state.S3 == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.S3.done(there, err, at)
	r.state.S3.measure("s3", err)
}

func (p *Place) done(there []string, err error, at time.Time) {
	p.newest(there)
	switch {
	case err == nil:
		p.Error, p.Since = "", time.Time{}
	case p.Error == "":
		p.Since = at
		fallthrough
	default:
		p.Error = err.Error()
		p.Failures++
	}
}

// newest remembers the last of some names, of snapshots that are there.
func (p *Place) newest(names []string) {
	for _, name := range names {
		if f, ok := Parsed(name); ok && f.Time.After(p.Time) {
			p.Newest, p.Time = name, f.Time
		}
	}
}

// ServeHTTP answers with the State.
func (r *Report) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "only GET is known here", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(r.State()) // whoever asks is gone
}
