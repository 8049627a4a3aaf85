package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"

	"authz/internal/jwks"
)

// asymmetric are the algorithms that public keys serve.
var asymmetric = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// algorithms are all that can ever be accepted (RFC 7518, section 3.1; RFC 8037).
// Each takes the key as it is and refuses one of another kind, so that a mistake
// elsewhere in the choice of keys can't become an algorithm confusion.
//
// They are the standard library's, but for RS256 and its like (jwks.RSA): through a JWS library the same signatures cost
// a tenth to a sixth more and bring their own idea of which header rules.
var algorithms = map[string]func(key any, signed, signature []byte) bool{
	"HS256": hs256,
	"RS256": rsaPKCS1(crypto.SHA256),
	"RS384": rsaPKCS1(crypto.SHA384),
	"RS512": rsaPKCS1(crypto.SHA512),
	"PS256": rsaPSS(crypto.SHA256),
	"PS384": rsaPSS(crypto.SHA384),
	"PS512": rsaPSS(crypto.SHA512),
	"ES256": ecdsaOn(256, crypto.SHA256),
	"ES384": ecdsaOn(384, crypto.SHA384),
	"ES512": ecdsaOn(521, crypto.SHA512),
	"EdDSA": eddsa,
}

func hs256(key any, signed, signature []byte) bool {
	secret, ok := key.(secret)
	if !ok || len(secret) < minSecret {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(signed)
	return hmac.Equal(mac.Sum(nil), signature)
}

// secret is a key of HS256, a type of its own: no other key converts to it unseen.
type secret []byte

func rsaPKCS1(hash crypto.Hash) func(any, []byte, []byte) bool {
	return func(key any, signed, signature []byte) bool {
		public, ok := key.(*jwks.RSA)
		return ok && public.VerifyPKCS1v15(hash, digest(hash, signed), signature)
	}
}

func rsaPSS(hash crypto.Hash) func(any, []byte, []byte) bool {
	// RFC 7518, section 3.5: the salt is as long as the hash.
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	return func(key any, signed, signature []byte) bool {
		public, ok := key.(*jwks.RSA)
		return ok && rsa.VerifyPSS(public.PublicKey, hash, digest(hash, signed), signature, options) == nil
	}
}

func ecdsaOn(bits int, hash crypto.Hash) func(any, []byte, []byte) bool {
	size := (bits + 7) / 8
	return func(key any, signed, signature []byte) bool {
		public, ok := key.(*ecdsa.PublicKey)
		// RFC 7518, section 3.4: R and S in full length, one after the other.
		if !ok || public.Curve.Params().BitSize != bits || len(signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		return ecdsa.Verify(public, digest(hash, signed), r, s)
	}
}

func eddsa(key any, signed, signature []byte) bool {
	public, ok := key.(ed25519.PublicKey)
	return ok && len(public) == ed25519.PublicKeySize && ed25519.Verify(public, signed, signature)
}

func digest(hash crypto.Hash, signed []byte) []byte {
	switch hash {
	case crypto.SHA256:
		sum := sha256.Sum256(signed)
		return sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384(signed)
		return sum[:]
	default:
		sum := sha512.Sum512(signed)
		return sum[:]
	}
}
