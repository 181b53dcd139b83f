package datastore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// Member is one server's part of an embedded datastore.
type Member struct {
	ID uint64 `json:"id"`
	// Name is the server's; "" until it has started for the first time.
	Name string `json:"name"`
	// URL is where other members reach it.
	URL string `json:"url"`
	// Learner receives everything and does not count yet.
	Learner bool `json:"learner,omitempty"`
	// Leader orders the writes; Self is the member that was asked.
	Leader bool `json:"leader,omitempty"`
	Self   bool `json:"self,omitempty"`
}

// ErrExternal says that the datastore's members are not ours to change.
var ErrExternal = errors.New("this cluster's datastore is an etcd of its own (--datastore-endpoint): another server joins with the same --datastore-endpoint and the token")

// closedChannel is that of a datastore which others could always use.
var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Shared is closed when other servers can use this datastore.
func (s *Store) Shared() <-chan struct{} {
	if s.member == nil {
		return closedChannel
	}
	return s.member.shared
}

// Alone says that no other server can use this datastore now.
func (s *Store) Alone() bool { return !isClosed(s.Shared()) }

// WhileAlone runs act, until ctx ends or another server is to be let in, which
// waits for act to return. It returns nil at once where others can come anyway.
func (s *Store) WhileAlone(ctx context.Context, act func(context.Context) error) error {
	if s.member == nil {
		return nil
	}
	return s.member.whileAlone(ctx, act)
}

// LetOthersIn says that another server can use this datastore from now on, and
// waits until what may only be done alone has ended.
func (s *Store) LetOthersIn(ctx context.Context) error {
	if s.member == nil {
		return nil
	}
	return s.member.letOthersIn(ctx)
}

// Ended is closed when the datastore has ended by itself: ErrRemoved is why.
func (s *Store) Ended() <-chan struct{} {
	if s.member == nil {
		return nil
	}
	return s.member.etcd.Server.StopNotify()
}

// Members lists the members of the embedded datastore, as most of them know it.
func (s *Store) Members(ctx context.Context) ([]Member, error) {
	if s.member == nil {
		return nil, ErrExternal
	}
	got, err := s.Client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the servers: %w", err)
	}
	server := s.member.etcd.Server
	var all []Member
	for _, m := range got.Members {
		all = append(all, Member{
			ID: m.ID, Name: m.Name, URL: strings.Join(m.PeerURLs, ","), Learner: m.IsLearner,
			Leader: m.ID == uint64(server.Leader()), Self: m.ID == uint64(server.MemberID()),
		})
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.Name+"\n"+a.URL, b.Name+"\n"+b.URL) })
	return all, nil
}

// Admit makes room for a member at url, which learns and does not count before it
// is promoted, and returns all. A learner that was there before is forgotten: it
// has no data that counts.
func (s *Store) Admit(ctx context.Context, url string) ([]Member, error) {
	if s.member == nil {
		return nil, ErrExternal
	}
	if err := s.member.share(ctx); err != nil {
		return nil, err
	}
	if err := s.member.tell(ctx, s.Client.Client); err != nil {
		return nil, err
	}
	before, err := s.Members(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range before {
		if m.URL == url && m.Learner {
			if err := s.Remove(ctx, m.ID); err != nil {
				return nil, err
			}
		}
	}
	if _, err := s.Client.MemberAddAsLearner(ctx, []string{url}); err != nil {
		return nil, err
	}
	return s.Members(ctx)
}

// Promote makes this server's member count, if it is a learner. It fails with
// an error until it has what the leader has.
func (s *Store) Promote(ctx context.Context) error {
	if s.member == nil || !s.member.etcd.Server.IsLearner() {
		return nil
	}
	_, err := s.Client.MemberPromote(ctx, uint64(s.member.etcd.Server.MemberID()))
	if errors.Is(err, rpctypes.ErrMemberNotLearner) {
		return nil
	}
	return err
}

// Remove takes a member out for ever. Who is removed ends.
func (s *Store) Remove(ctx context.Context, id uint64) error {
	if s.member == nil {
		return ErrExternal
	}
	if server := s.member.etcd.Server; uint64(server.MemberID()) == id {
		s.member.handOver() // otherwise the others elect a leader, a second later
	}
	_, err := s.Client.MemberRemove(ctx, id)
	switch {
	case errors.Is(err, rpctypes.ErrMemberNotEnoughStarted), errors.Is(err, rpctypes.ErrUnhealthy):
		return fmt.Errorf("%w: %w", ErrTooFew, err)
	case errors.Is(err, rpctypes.ErrMemberNotFound):
		return nil
	}
	return err
}

// ErrTooFew says that the servers that would be left could not go on.
var ErrTooFew = errors.New("too few of the servers that would be left have been running for the last five seconds")
