// Package seal locks a text up with a token: who has the token reads it, who
// changes a bit of it is found out.
package seal

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// ErrToken says that the token does not open this seal, or that what is sealed
// was changed: the two cannot be told apart.
var ErrToken = errors.New("the token does not open the sealed text")

const (
	version    = 1
	saltLength = 16
	// What a seal may ask of who opens it: its numbers are not to be trusted.
	mostTime, mostMemory, mostThreads = 16, 256 << 10, 16
)

// Cost is what it takes to try one token: passes, KiB and lanes of Argon2id.
type Cost struct {
	Time    uint32 `json:"time"`
	Memory  uint32 `json:"memoryKiB"`
	Threads uint8  `json:"threads"`
}

// Default is OWASP's choice, which spares the server's memory. A token that we
// made needs no stretching; one that a person made up does.
var Default = Cost{Time: 2, Memory: 19 << 10, Threads: 1}

// envelope is how a sealed text is kept. All but the last field are under the
// seal too, as additional data.
type envelope struct {
	Version int    `json:"version"`
	KDF     string `json:"kdf"`
	Cost
	Cipher string `json:"cipher"`
	Salt   []byte `json:"salt"`
	Nonce  []byte `json:"nonce"`
	Text   []byte `json:"text,omitempty"`
}

// Seal locks text up.
func (c Cost) Seal(token string, text []byte) ([]byte, error) {
	e := envelope{
		Version: version, KDF: "argon2id", Cipher: "xchacha20poly1305", Cost: c,
		Salt: make([]byte, saltLength), Nonce: make([]byte, chacha20poly1305.NonceSizeX),
	}
	for _, b := range [][]byte{e.Salt, e.Nonce} {
		if _, err := rand.Read(b); err != nil {
			return nil, err
		}
	}
	aead, err := chacha20poly1305.NewX(e.key(token))
	if err != nil {
		return nil, err
	}
	about, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	e.Text = aead.Seal(nil, e.Nonce, text, about)
	return json.Marshal(e)
}

// Open returns what was sealed.
func Open(token string, sealed []byte) ([]byte, error) {
	var e envelope
	if err := json.Unmarshal(sealed, &e); err != nil {
		return nil, fmt.Errorf("this is no sealed text: %w", err)
	}
	if e.Version != version || e.KDF != "argon2id" || e.Cipher != "xchacha20poly1305" {
		return nil, fmt.Errorf("sealed in a way that this version does not know (version %d, %q, %q)", e.Version, e.KDF, e.Cipher)
	}
	if e.Time < 1 || e.Time > mostTime || e.Memory > mostMemory || e.Threads < 1 || e.Threads > mostThreads ||
		len(e.Salt) != saltLength || len(e.Nonce) != chacha20poly1305.NonceSizeX {
		return nil, errors.New("this is no sealed text: its numbers are out of bounds")
	}
	aead, err := chacha20poly1305.NewX(e.key(token))
	if err != nil {
		return nil, err
	}
	locked := e.Text
	e.Text = nil
	about, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	text, err := aead.Open(nil, e.Nonce, locked, about)
	if err != nil {
		return nil, ErrToken
	}
	return text, nil
}

func (e envelope) key(token string) []byte {
	return argon2.IDKey([]byte(token), e.Salt, e.Time, e.Memory, e.Threads, chacha20poly1305.KeySize)
}
