package jwks

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// A key is the one that the JWX library reads, however its numbers are written; and
// what that library cannot read does not count either.
func TestKeysAgreeWithJWX(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	both, neither := 0, 0
	for range 2000 {
		key := published([]string{"r1", "p256", "p384", "p521", "ed"}[random.IntN(5)], nil)
		delete(key, "alg")
		for _, name := range []string{"n", "e", "x", "y"} {
			if text, ok := key[name].(string); ok && random.IntN(3) == 0 {
				key[name] = respelled(t, random, text)
			}
		}
		raw, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseKey(raw)
		var want crypto.PublicKey
		parsed, wantErr := jwk.ParseKey(raw)
		if wantErr == nil {
			wantErr = parsed.Raw(&want)
		}
		switch {
		case err != nil && wantErr != nil:
			neither++
		case err != nil: // stricter: TestWhichKeysCount says where
		case wantErr != nil:
			t.Fatalf("%s: taken, but JWX says %v", raw, wantErr)
		case !got.Public.(interface{ Equal(crypto.PublicKey) bool }).Equal(want):
			t.Fatalf("%s: got %v, want %v", raw, got.Public, want)
		default:
			both++
		}
	}
	if both < 500 || neither < 50 {
		t.Errorf("%d keys taken by both, %d by neither: the keys are too alike to mean anything", both, neither)
	}
}

// respelled writes a number another way, or another number.
func respelled(t *testing.T, random *rand.Rand, text string) string {
	octets, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	switch random.IntN(7) {
	case 0:
		return base64.URLEncoding.EncodeToString(octets)
	case 1:
		return base64.StdEncoding.EncodeToString(octets)
	case 2:
		return base64.RawURLEncoding.EncodeToString(append(make([]byte, 1+random.IntN(3)), octets...))
	case 3:
		octets[random.IntN(len(octets))] ^= 1 << random.IntN(8)
	case 4:
		octets = octets[:random.IntN(len(octets))]
	case 5:
		octets = append(octets, byte(random.IntN(256)))
	case 6:
		return text + []string{" ", "!", "=", "A"}[random.IntN(4)]
	}
	return base64.RawURLEncoding.EncodeToString(octets)
}
