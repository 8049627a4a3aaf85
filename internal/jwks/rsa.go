package jwks

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"crypto/rsa"

	"filippo.io/bigmod"
)

// RSA is an RSA key made ready to verify with. crypto/rsa works out anew, for each
// signature, what it needs to know of the modulus, which is a third of the work. Here it
// is done once a key, with the same arithmetic by the same author. See
// docs/design/signatures.md.
type RSA struct {
	*rsa.PublicKey
	// modulus is nil where crypto/rsa has to do it all.
	modulus *bigmod.Modulus
}

// NewRSA makes a key ready. It takes any key; one that parse would refuse is left to
// crypto/rsa, which has its own opinion of it.
func NewRSA(public *rsa.PublicKey) *RSA {
	k := &RSA{PublicKey: public}
	// Validated arithmetic is crypto/rsa's alone.
	if fips140.Enabled() || !soundRSA(public) {
		return k
	}
	if modulus, err := bigmod.NewModulus(public.N.Bytes()); err == nil {
		k.modulus = modulus
	}
	return k
}

// soundRSA reports whether a key is one that counts. That the modulus and the exponent
// are odd and within bounds is what crypto/rsa asks too.
func soundRSA(k *rsa.PublicKey) bool {
	if k == nil || k.N == nil || k.N.Sign() <= 0 {
		return false
	}
	bits := k.N.BitLen()
	return bits >= minRSABits && bits <= maxRSABits && k.N.Bit(0) == 1 && k.E >= 3 && k.E&1 == 1 && k.E <= 1<<31-1
}

// VerifyPKCS1v15 reports whether a signature of a digest is right (RFC 8017, section
// 8.2.2). The encoded message is built and compared as a whole, never taken apart: what
// a reader of paddings forgives has been enough to forge signatures (CVE-2006-4339).
func (k *RSA) VerifyPKCS1v15(hash crypto.Hash, digest, signature []byte) bool {
	if k.modulus == nil {
		return rsa.VerifyPKCS1v15(k.PublicKey, hash, digest, signature) == nil
	}
	if len(signature) != k.modulus.Size() {
		return false
	}
	s, err := bigmod.NewNat().SetBytes(signature, k.modulus) // not below the modulus: refused
	if err != nil {
		return false
	}
	message := bigmod.NewNat().ExpShortVarTime(s, uint(k.E), k.modulus).Bytes(k.modulus)
	var room [maxRSABits / 8]byte
	want := room[:len(signature)]
	return encodePKCS1v15(want, hash, digest) && bytes.Equal(message, want)
}

// digestInfo is what comes before a digest (RFC 8017, section 9.2, note 1).
var digestInfo = map[crypto.Hash]string{
	crypto.SHA256: "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
	crypto.SHA384: "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
	crypto.SHA512: "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
}

// encodePKCS1v15 writes EMSA-PKCS1-v1_5 (RFC 8017, section 9.2) into em, which has the
// modulus's length. Not ok: the hash is none of ours, or the digest not one of its.
func encodePKCS1v15(em []byte, hash crypto.Hash, digest []byte) bool {
	info := digestInfo[hash]
	padding := len(em) - 3 - len(info) - len(digest)
	if info == "" || len(digest) != hash.Size() || padding < 8 {
		return false
	}
	em[0], em[1] = 0, 1
	rest := em[2:]
	for i := range padding {
		rest[i] = 0xff
	}
	rest = rest[padding:]
	rest[0] = 0
	copy(rest[1+copy(rest[1:], info):], digest)
	return true
}
