package datastore

import (
	"context"
	"expvar"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// campaignLook is how often a member that is alone looks whether it can lead.
const campaignLook = 2 * time.Millisecond

// campaign makes a member that is alone lead at once, as one is told to that a
// leader hands over to; by itself it would wait a second for the sign of life of
// another.
func (m *member) campaign() {
	server := m.etcd.Server
	id := uint64(server.MemberID())
	again := time.NewTicker(campaignLook)
	defer again.Stop()
	for server.Leader() == 0 {
		if hasReadItsLog(id) {
			ctx, cancel := context.WithTimeout(m.life, election)
			_ = server.Process(ctx, &raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), To: &id, From: &id})
			cancel()
		}
		select {
		case <-again.C:
		case <-server.StopNotify():
			return
		}
	}
}

// hasReadItsLog says whether raft has been told that everything in the log is
// applied: an election before that is an error. etcd shows it in this variable
// alone, and only of the member that was started last in this process: another
// waits its second.
func hasReadItsLog(id uint64) bool {
	shown, ok := expvar.Get("raft.status").(expvar.Func)
	if !ok {
		return false
	}
	status, ok := shown().(raft.Status)
	return ok && status.ID == id && status.Commit != nil && *status.Commit > 0 && status.Applied >= *status.Commit
}
