package load

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// Etcd writes keys by etcd's JSON gateway, to whichever member its address leads
// to. Reads are linearizable: a member that is behind may not answer.
type Etcd struct {
	Dial    Dial
	Address string
}

const etcdPrefix, etcdEnd = "load/", "load0" // "0" follows "/"

// Write puts one key.
func (e Etcd) Write(ctx context.Context, n int) error {
	var answer struct {
		Header struct {
			Revision string
		}
	}
	err := e.ask(ctx, "/v3/kv/put", map[string]any{
		"key":   base64.StdEncoding.EncodeToString([]byte(etcdPrefix + strconv.Itoa(n))),
		"value": base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(n))),
	}, &answer)
	if err == nil && answer.Header.Revision == "" {
		return fmt.Errorf("etcd: a write without a revision")
	}
	return err
}

// Read lists the keys.
func (e Etcd) Read(ctx context.Context) ([]int, error) {
	var answer struct {
		Count string
		Kvs   []struct{ Value []byte }
	}
	err := e.ask(ctx, "/v3/kv/range", map[string]any{
		"key":       base64.StdEncoding.EncodeToString([]byte(etcdPrefix)),
		"range_end": base64.StdEncoding.EncodeToString([]byte(etcdEnd)),
	}, &answer)
	var all []int
	for _, kv := range answer.Kvs {
		n, err := strconv.Atoi(string(kv.Value))
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, err
}

func (e Etcd) ask(ctx context.Context, path string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.Address+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DialContext: e.Dial, DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd: %s", response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
