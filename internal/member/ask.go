package member

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/join"
)

// askWithin bounds one question: a cluster's first member stops its control
// loops before it lets another in.
const askWithin = 15 * time.Second

// ErrToken says that the server has another token.
var ErrToken = errors.New("the server refuses the token; take the one that `berth token --server` prints on a server of the cluster now")

// Client asks a server of the cluster.
type Client struct {
	server string
	token  string
	http   http.Client
}

// NewClient asks the server at this URL, and believes ca.
func NewClient(server string, ca []byte, token string) (*Client, error) {
	address, err := join.Address(server)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s shows no certificate", server)
	}
	return &Client{server: "https://" + address, token: token, http: http.Client{
		Timeout:   askWithin,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: join.ServerName}},
	}}, nil
}

// Keys are the cluster's, sealed. Nothing has changed there when it fails.
func (c *Client) Keys(ctx context.Context, who Candidate) (sealed []byte, err error) {
	return sealed, c.ask(ctx, keysPath, who, &sealed)
}

// Admit makes room for who, and returns all members.
func (c *Client) Admit(ctx context.Context, who Candidate) (members []datastore.Member, err error) {
	return members, c.ask(ctx, Path+"/"+who.Name, who, &members)
}

// ask ends with a Refusal or ErrToken when asking again is no use.
func (c *Client) ask(ctx context.Context, path string, who Candidate, answer any) error {
	body, err := json.Marshal(who)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
	got, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, 16<<20))
	if err != nil {
		return err
	}
	switch got.StatusCode {
	case http.StatusOK:
		return json.Unmarshal(text, answer)
	case http.StatusUnauthorized:
		return ErrToken
	case http.StatusForbidden, http.StatusNotFound:
		return refuse("the server at %s does not know how servers join; start the same version on both", c.server)
	case http.StatusConflict:
		return Refusal(strings.TrimSpace(string(text)))
	}
	return fmt.Errorf("%s: %s", c.server, strings.TrimSpace(string(text)))
}
