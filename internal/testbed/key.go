package testbed

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and SHA512
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
)

// Key signs tokens. The zero ID makes tokens and JWKs without kid.
type Key struct {
	ID     string
	Alg    string        // RS256 … PS512, ES256 … ES512, EdDSA, or HS256 … HS512
	Signer crypto.Signer // for the asymmetric ones
	Secret []byte        // for HS*
}

// NewKey makes a key for the algorithm. It panics when it does not know it: a test
// with a wrong name has no way on.
func NewKey(id, alg string) Key {
	k := Key{ID: id, Alg: alg}
	var err error
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		k.Signer, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		k.Signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		k.Signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		k.Signer, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, k.Signer, err = ed25519.GenerateKey(rand.Reader)
	case "HS256", "HS384", "HS512":
		k.Secret = make([]byte, 64)
		_, err = rand.Read(k.Secret)
	default:
		err = fmt.Errorf("no such algorithm: %q", alg)
	}
	if err != nil {
		panic("testbed: " + err.Error())
	}
	return k
}

// JWK is the public half as RFC 7517 writes it; of a secret, the secret.
func (k Key) JWK() map[string]any {
	jwk := map[string]any{"alg": k.Alg, "use": "sig"}
	if k.ID != "" {
		jwk["kid"] = k.ID
	}
	if k.Signer == nil {
		jwk["kty"], jwk["k"] = "oct", encode(k.Secret)
		return jwk
	}
	switch pub := k.Signer.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(pub.N.Bytes()), encode(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		size := (pub.Curve.Params().BitSize + 7) / 8
		point, err := pub.Bytes() // 4 || x || y
		if err != nil {
			panic("testbed: " + err.Error())
		}
		jwk["kty"], jwk["crv"] = "EC", pub.Curve.Params().Name
		jwk["x"], jwk["y"] = encode(point[1:1+size]), encode(point[1+size:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", encode(pub)
	}
	return jwk
}

// Token signs claims with the usual header: alg, typ and, if the key has one, kid.
func (k Key) Token(claims map[string]any) string { return k.TokenWith(nil, claims) }

// TokenWith is Token with a header of the test's choice: its members replace the
// usual ones, a nil member removes one. The signature is always the key's own, over
// whatever the header says.
func (k Key) TokenWith(header, claims map[string]any) string {
	h := map[string]any{"alg": k.Alg, "typ": "JWT"}
	if k.ID != "" {
		h["kid"] = k.ID
	}
	for name, value := range header {
		if h[name] = value; value == nil {
			delete(h, name)
		}
	}
	return k.Sign(marshal(h), marshal(claims))
}

// Sign makes a compact JWS (RFC 7515) of the octets of a header and a payload, which
// need not be JSON.
func (k Key) Sign(header, payload []byte) string {
	input := encode(header) + "." + encode(payload)
	return input + "." + encode(k.signature([]byte(input)))
}

func (k Key) signature(input []byte) []byte {
	if k.Alg == "EdDSA" {
		return must(k.Signer.Sign(rand.Reader, input, crypto.Hash(0)))
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[k.Alg[2:]]
	h := hash.New()
	h.Write(input)
	digest := h.Sum(nil)
	switch k.Alg[:2] {
	case "RS":
		return must(k.Signer.Sign(rand.Reader, digest, hash))
	case "PS":
		return must(k.Signer.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}))
	case "ES": // r || s, each as long as the curve's order (RFC 7518, 3.4)
		private := k.Signer.(*ecdsa.PrivateKey)
		r, s, err := ecdsa.Sign(rand.Reader, private, digest)
		if err != nil {
			panic("testbed: " + err.Error())
		}
		size := (private.Curve.Params().BitSize + 7) / 8
		out := make([]byte, 2*size)
		r.FillBytes(out[:size])
		s.FillBytes(out[size:])
		return out
	}
	mac := hmac.New(hash.New, k.Secret)
	mac.Write(input)
	return mac.Sum(nil)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func marshal(v any) []byte { return must(json.Marshal(v)) }

func must(b []byte, err error) []byte {
	if err != nil {
		panic("testbed: " + err.Error())
	}
	return b
}
