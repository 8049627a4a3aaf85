package jwks

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func TestWhichKeysCount(t *testing.T) {
	allRSA := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	huge := new(big.Int).SetBit(big.NewInt(1), 8192, 1)
	tests := []struct {
		name string
		key  map[string]any
		want []string // nil: skipped
	}{
		{"RSA without alg", published("r1", nil), allRSA},
		{"RSA bound to RS256", published("r1", map[string]any{"alg": "RS256"}), []string{"RS256"}},
		{"RSA bound to PS512", published("r1", map[string]any{"alg": "PS512"}), []string{"PS512"}},
		{"RSA for encryption by alg", published("r1", map[string]any{"alg": "RSA-OAEP"}), nil},
		{"RSA that says HS256", published("r1", map[string]any{"alg": "HS256"}), nil},
		{"RSA that says none", published("r1", map[string]any{"alg": "none"}), nil},
		{"RSA that says ES256", published("r1", map[string]any{"alg": "ES256"}), nil},
		{"P-256", published("p256", nil), []string{"ES256"}},
		{"P-384", published("p384", nil), []string{"ES384"}},
		{"P-521", published("p521", nil), []string{"ES512"}},
		{"P-256 that says ES384", published("p256", map[string]any{"alg": "ES384"}), nil},
		{"P-256 that says it is P-384", published("p256", map[string]any{"crv": "P-384"}), nil},
		{"P-256 off its curve", published("p256", map[string]any{"y": published("p256", nil)["x"]}), nil},
		{"P-256 without y", published("p256", map[string]any{"y": nil}), nil},
		{"secp256k1", published("p256", map[string]any{"crv": "secp256k1"}), nil},
		{"EC on Ed25519", published("p256", map[string]any{"crv": "Ed25519"}), nil},
		{"Ed25519", published("ed", nil), []string{"EdDSA"}},
		{"Ed25519 by RFC 9864", published("ed", map[string]any{"alg": "Ed25519"}), []string{"EdDSA"}},
		{"Ed25519 too short", published("ed", map[string]any{"x": "AAAA"}), nil},
		{"X25519", published("ed", map[string]any{"crv": "X25519"}), nil},
		{"OKP on P-256", published("ed", map[string]any{"crv": "P-256"}), nil},
		{"oct", map[string]any{"kty": "oct", "k": strings.Repeat("QUJD", 20), "alg": "HS256"}, nil},
		{"an unknown kind", map[string]any{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}, nil},
		{"no kind", map[string]any{"kid": "x"}, nil},
		{"use sig", published("r1", map[string]any{"use": "sig"}), allRSA},
		{"use enc", published("r1", map[string]any{"use": "enc"}), nil},
		{"key_ops verify", published("r1", map[string]any{"key_ops": []string{"verify"}}), allRSA},
		{"key_ops without verify", published("r1", map[string]any{"key_ops": []string{"encrypt"}}), nil},
		{"key_ops empty", published("r1", map[string]any{"key_ops": []string{}}), nil},
		{"with its private half", published("r1", map[string]any{"d": "AAAA"}), nil},
		{"RSA of 1024 bits", published("r1", map[string]any{"n": number(weak.N)}), nil},
		{"RSA of 8193 bits", published("r1", map[string]any{"n": number(huge)}), nil},
		{"RSA with an even modulus", published("r1", map[string]any{"n": number(new(big.Int).Lsh(big.NewInt(1), 2047))}), nil},
		{"RSA with exponent 1", published("r1", map[string]any{"e": "AQ"}), nil},
		{"RSA with exponent 2^64+65537", published("r1", map[string]any{"e": "AQAAAAAAAQAB"}), nil},
		{"RSA without a modulus", published("r1", map[string]any{"n": nil}), nil},
		{"RSA with a modulus that is no base64", published("r1", map[string]any{"n": "!!"}), nil},
		{"kid that is a number", published("r1", map[string]any{"kid": 7}), nil},
		{"certificates that are none", published("r1", map[string]any{"x5c": []string{"!!"}, "x5u": 1}), allRSA},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// The other key always counts, whatever is wrong with this one.
			keys, skipped, err := parse(setOf(tt.key, published("r2", nil)))
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == nil {
				if skipped != 1 || len(keys) != 1 || keys[0].ID != "r2" {
					t.Fatalf("not skipped: %+v, %d skipped", keys, skipped)
				}
				return
			}
			if skipped != 0 || len(keys) != 2 || !slices.Equal(keys[0].Algorithms, tt.want) {
				t.Fatalf("keys %+v, %d skipped, want algorithms %v", keys, skipped, tt.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	copyOf := func(name, id string) map[string]any { return published(name, map[string]any{"kid": id}) }
	noID := func(name string) map[string]any { return published(name, map[string]any{"kid": nil}) }
	tests := []struct {
		name    string
		set     []byte
		id, alg string
		want    string // the test key, empty with err
		err     error
	}{
		{"by id", named("r1", "r2"), "r2", "RS256", "r2", nil},
		{"another algorithm of the same key", named("r1", "r2"), "r2", "PS384", "r2", nil},
		{"unknown id", named("r1", "r2"), "r3", "RS256", "", ErrUnknown},
		{"key of another kind", named("r1", "p256"), "r1", "ES256", "", ErrAlgorithm},
		{"curve of another algorithm", named("r1", "p256"), "p256", "ES384", "", ErrAlgorithm},
		{"none", named("r1"), "r1", "none", "", ErrAlgorithm},
		{"HS256", named("r1"), "r1", "HS256", "", ErrAlgorithm},
		{"alg of the key", setOf(published("r1", map[string]any{"alg": "RS256"})), "r1", "RS512", "", ErrAlgorithm},
		{"no id, one key", named("r1"), "", "RS256", "r1", nil},
		{"no id, one key that fits", named("r1", "p256"), "", "ES256", "p256", nil},
		{"no id, two keys that fit", named("r1", "r2"), "", "RS256", "", ErrAmbiguous},
		{"no id, no key that fits", named("r1", "r2"), "", "ES256", "", ErrUnknown},
		{"key without id, token without", setOf(noID("r1")), "", "RS256", "r1", nil},
		{"key without id, token with", setOf(noID("r1")), "r1", "RS256", "", ErrUnknown},
		{"same id, same key", setOf(copyOf("r1", "k"), copyOf("r1", "k")), "k", "RS256", "r1", nil},
		{"same id, different keys", setOf(copyOf("r1", "k"), copyOf("r2", "k")), "k", "RS256", "", ErrAmbiguous},
		{"same id, different kinds", setOf(copyOf("r1", "k"), copyOf("p256", "k")), "k", "ES256", "p256", nil},
		{"same id, one for encryption", setOf(copyOf("r1", "k"), published("r2", map[string]any{"kid": "k", "use": "enc"})), "k", "RS256", "r1", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys, _, err := parse(tt.set)
			if err != nil {
				t.Fatal(err)
			}
			x, err := newIndex(keys, 7)
			if err != nil {
				t.Fatal(err)
			}
			got, err := x.find(tt.id, tt.alg)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if tt.err != nil {
				return
			}
			want := testKeys()[tt.want].(interface{ Equal(crypto.PublicKey) bool })
			if got.Generation != 7 || !want.Equal(got.Public) {
				t.Errorf("found %+v, want %s", got, tt.want)
			}
		})
	}
}

// The fingerprint follows the contents, not the order or the wording.
func TestFingerprint(t *testing.T) {
	print := func(set []byte) string {
		keys, _, err := parse(set)
		if err != nil {
			t.Fatal(err)
		}
		x, err := newIndex(keys, 1)
		if err != nil {
			t.Fatal(err)
		}
		return string(x.fingerprint[:])
	}
	base := print(named("r1", "p256"))
	for name, tt := range map[string]struct {
		set  []byte
		same bool
	}{
		"other order":         {named("p256", "r1"), true},
		"a copy more":         {named("r1", "p256", "r1"), true},
		"an unusable key":     {setOf(published("r1", nil), published("p256", nil), map[string]any{"kty": "oct"}), true},
		"a key less":          {named("r1"), false},
		"a key more":          {named("r1", "p256", "r2"), false},
		"same id, other key":  {setOf(published("r2", map[string]any{"kid": "r1"}), published("p256", nil)), false},
		"other id":            {setOf(published("r1", map[string]any{"kid": "x"}), published("p256", nil)), false},
		"bound to one alg":    {setOf(published("r1", map[string]any{"alg": "RS256"}), published("p256", nil)), false},
		"id moved to another": {setOf(published("r1", map[string]any{"kid": "p256"}), published("p256", map[string]any{"kid": "r1"})), false},
	} {
		if got := print(tt.set) == base; got != tt.same {
			t.Errorf("%s: same fingerprint is %t", name, got)
		}
	}
}
