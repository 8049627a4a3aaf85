package jwks

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Which published keys count, and for what:
//
//	kty   size or curve       serves
//	RSA   2048 to 8192 bits   its "alg"; without one RS256 … RS512, PS256 … PS512
//	EC    P-256, P-384, P-521 ES256, ES384, ES512: the curve decides
//	OKP   Ed25519             EdDSA
//
// Everything else is left out and counted: other kinds ("oct" above all: a secret
// does not belong in a published set), keys meant for something else ("use",
// "key_ops", "alg"), keys published with their private half, points off the curve.
// One such key never costs the others.

// Key is one public key.
type Key struct {
	// ID is the key's "kid"; empty when it has none.
	ID string
	// Algorithms are those the key may verify.
	Algorithms []string
	// Public is a *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
	Public crypto.PublicKey
	// RSA is Public made ready to verify with; nil where that is no *rsa.PublicKey.
	RSA *RSA
	// Generation is that of the set the key was found in.
	Generation uint64
}

// Bounds on RSA moduli: smaller ones are weak (RFC 7518, section 3.3), larger ones
// cost milliseconds a verification.
const minRSABits, maxRSABits = 2048, 8192

// curves maps a curve to its one algorithm (RFC 7518, section 3.4; RFC 8037).
var curves = map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}

var rsaAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}

// The errors name no part of the body: they reach the log.
var (
	errNotKeySet = errors.New("answer is not a JSON object with a list of keys")
	errNoKeys    = errors.New("answer holds no usable key")
	errUnusable  = errors.New("key is not usable")
)

// parse reads a key set (RFC 7517, section 5). Keys that don't count are skipped
// and counted; a set without any that does is an error.
func parse(body []byte) (keys []Key, skipped int, err error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil || set.Keys == nil {
		return nil, 0, errNotKeySet
	}
	for _, raw := range *set.Keys {
		if key, err := parseKey(raw); err == nil {
			keys = append(keys, key)
		} else {
			skipped++
		}
	}
	if len(keys) == 0 {
		return nil, skipped, errNoKeys
	}
	return keys, skipped, nil
}

// member is the part of a JWK that matters here. Certificates (x5c, x5u) are not
// read: the set's own origin is what is trusted.
type member struct {
	Kty    string          `json:"kty"`
	Kid    string          `json:"kid,omitempty"`
	Use    string          `json:"use,omitempty"`
	KeyOps []string        `json:"key_ops,omitempty"`
	Alg    string          `json:"alg,omitempty"`
	Crv    string          `json:"crv,omitempty"`
	N      string          `json:"n,omitempty"`
	E      string          `json:"e,omitempty"`
	X      string          `json:"x,omitempty"`
	Y      string          `json:"y,omitempty"`
	D      json.RawMessage `json:"d,omitempty"`
}

func parseKey(raw []byte) (Key, error) {
	var m member
	if err := json.Unmarshal(raw, &m); err != nil {
		return Key{}, errUnusable
	}
	forSignatures := (m.Use == "" || m.Use == "sig") && (m.KeyOps == nil || slices.Contains(m.KeyOps, "verify"))
	algorithms := m.algorithms()
	if !forSignatures || m.D != nil || algorithms == nil {
		return Key{}, errUnusable
	}
	public, err := m.public()
	if err != nil {
		return Key{}, errUnusable
	}
	return Key{ID: m.Kid, Algorithms: algorithms, Public: public}, nil
}

// algorithms says what the key serves; nil for nothing.
func (m *member) algorithms() []string {
	switch m.Kty {
	case "RSA":
		if m.Alg == "" {
			return rsaAlgorithms
		}
		if slices.Contains(rsaAlgorithms, m.Alg) {
			return []string{m.Alg}
		}
	case "EC", "OKP":
		alg := curves[m.Crv]
		if alg == "" || (m.Kty == "OKP") != (alg == "EdDSA") {
			return nil
		}
		// RFC 9864 calls the same algorithm Ed25519.
		if m.Alg == "" || m.Alg == alg || m.Alg == m.Crv && alg == "EdDSA" {
			return []string{alg}
		}
	}
	return nil
}

// public makes the key and checks what the JWK library leaves to its caller.
func (m *member) public() (crypto.PublicKey, error) {
	plain, err := json.Marshal(member{Kty: m.Kty, Crv: m.Crv, N: m.N, E: m.E, X: m.X, Y: m.Y})
	if err != nil {
		return nil, err
	}
	parsed, err := jwk.ParseKey(plain)
	if err != nil {
		return nil, err
	}
	if r, ok := parsed.(jwk.RSAPublicKey); ok && len(bytes.TrimLeft(r.E(), "\x00")) > 4 {
		return nil, errUnusable // would be cut silently
	}
	var public crypto.PublicKey
	if err := parsed.Raw(&public); err != nil {
		return nil, err
	}
	switch public := public.(type) {
	case *rsa.PublicKey:
		if !soundRSA(public) {
			return nil, errUnusable
		}
		return public, nil
	case *ecdsa.PublicKey:
		if _, err := public.ECDH(); err != nil { // not on its curve
			return nil, err
		}
		return public, nil
	case ed25519.PublicKey:
		if len(public) != ed25519.PublicKeySize {
			return nil, errUnusable
		}
		return public, nil
	}
	return nil, errUnusable
}

// index is what Key looks keys up in. It never changes once made.
type index struct {
	all         []Key
	byID        map[string][]Key
	fingerprint [sha256.Size]byte
}

// newIndex orders the keys, drops exact copies and stamps them with a generation.
func newIndex(keys []Key, generation uint64) (*index, error) {
	type printed struct {
		key   Key
		print []byte
	}
	list := make([]*printed, 0, len(keys))
	for _, k := range keys {
		der, err := x509.MarshalPKIXPublicKey(k.Public)
		if err != nil {
			return nil, errUnusable
		}
		print, err := json.Marshal([]any{k.ID, k.Algorithms, der})
		if err != nil {
			return nil, errUnusable
		}
		k.Generation = generation
		list = append(list, &printed{k, print})
	}
	slices.SortFunc(list, func(a, b *printed) int {
		return cmp.Or(cmp.Compare(a.key.ID, b.key.ID), bytes.Compare(a.print, b.print))
	})
	list = slices.CompactFunc(list, func(a, b *printed) bool { return bytes.Equal(a.print, b.print) })

	x := &index{byID: make(map[string][]Key, len(list))}
	digest := sha256.New()
	for _, p := range list {
		if public, ok := p.key.Public.(*rsa.PublicKey); ok {
			p.key.RSA = NewRSA(public)
		}
		x.all = append(x.all, p.key)
		x.byID[p.key.ID] = append(x.byID[p.key.ID], p.key)
		digest.Write(p.print)
	}
	digest.Sum(x.fingerprint[:0])
	return x, nil
}

// find returns the one key of that id which serves alg. Where two different keys
// answer, neither does: RFC 7517 (section 4.5) wants ids distinct, and trying keys
// until one fits is how keys get used for what they were not made for. A token
// without an id is answered only where a single key of the set serves alg.
func (x *index) find(id, alg string) (Key, error) {
	candidates := x.byID[id]
	if id == "" {
		candidates = x.all
	}
	found := -1
	for i := range candidates {
		if !slices.Contains(candidates[i].Algorithms, alg) {
			continue
		}
		if found >= 0 {
			return Key{}, ErrAmbiguous
		}
		found = i
	}
	switch {
	case found >= 0:
		return candidates[found], nil
	case len(candidates) > 0 && id != "":
		return Key{}, ErrAlgorithm
	}
	return Key{}, ErrUnknown
}
