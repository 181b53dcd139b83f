package member

import (
	"fmt"
	"slices"
	"strings"

	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/join"
)

// Candidate is a server that wants to join.
type Candidate struct {
	Name string `json:"name"`
	// URL is where other servers are to reach its datastore.
	URL     string       `json:"url"`
	Version string       `json:"version"`
	Cluster join.Cluster `json:"cluster"`
}

// Refusal is why a candidate cannot join, for whoever started it.
type Refusal string

// Error implements error.
func (r Refusal) Error() string { return string(r) }

func refuse(format string, a ...any) error { return Refusal(fmt.Sprintf(format, a...)) }

// fits is nil when the candidate is like the servers that there are.
func (c Candidate) fits(version string, cluster join.Cluster, members []datastore.Member) error {
	if c.Version != version {
		return refuse("the servers of this cluster are of version %s and this one is of %s; start the same version here", version, c.Version)
	}
	if !slices.Equal(c.Cluster.ClusterCIDRs, cluster.ClusterCIDRs) || !slices.Equal(c.Cluster.ServiceCIDRs, cluster.ServiceCIDRs) ||
		c.Cluster.ClusterDomain != cluster.ClusterDomain {
		return refuse("--cluster-cidr, --service-cidr, --cluster-domain: this cluster has %s, %s and %s; give every server of it the same",
			strings.Join(cluster.ClusterCIDRs, ","), strings.Join(cluster.ServiceCIDRs, ","), cluster.ClusterDomain)
	}
	for _, m := range members {
		switch {
		case m.URL == c.URL && m.Learner: // itself, before it got so far
		case m.Name == c.Name:
			return refuse("--node-name: a server %s, at %s, is part of this cluster; choose another name. If that machine is lost for ever, or is this one without its data, type `berth server remove %s` on another server first",
				c.Name, m.URL, c.Name)
		case m.URL == c.URL:
			return refuse("--node-ip, --peer-port: the server %s of this cluster is at %s; if it is lost for ever, or is this one without its data, type `berth server remove %s` on another server first",
				m.Name, m.URL, m.Name)
		}
	}
	return nil
}
