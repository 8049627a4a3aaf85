package jwks

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"sync"
	"testing"
)

// rsaKeys are keys of many lengths, among them some that are no whole number of octets or
// words, and of unusual exponents.
var rsaKeys = sync.OnceValue(func() (keys []*rsa.PrivateKey) {
	for _, bits := range []int{2048, 2049, 2111, 2112, 3072} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		keys = append(keys, k)
	}
	for _, e := range []int64{3, 5, 17, 257, 65539, 1<<31 - 1} {
		if k := withExponent(keys[0], e); k != nil {
			keys = append(keys, k)
		}
	}
	return keys
})

// withExponent is the key with another exponent; nil where that has no inverse.
func withExponent(k *rsa.PrivateKey, e int64) *rsa.PrivateKey {
	one := big.NewInt(1)
	phi := big.NewInt(1)
	for _, p := range k.Primes {
		phi.Mul(phi, new(big.Int).Sub(p, one))
	}
	d := new(big.Int).ModInverse(big.NewInt(e), phi)
	if d == nil {
		return nil
	}
	return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: k.N, E: int(e)}, D: d, Primes: k.Primes}
}

// raw is the signature that makes a message of that encoding, right or wrong.
func raw(k *rsa.PrivateKey, encoded []byte) []byte {
	m := new(big.Int).SetBytes(encoded)
	return m.Exp(m, k.D, k.N).FillBytes(make([]byte, k.Size()))
}

// agree asks both, and says what they say.
func agree(t *testing.T, k *rsa.PublicKey, hash crypto.Hash, digest, signature []byte) bool {
	t.Helper()
	ready := NewRSA(k)
	if ready.modulus == nil {
		t.Fatalf("a key of %d bits with exponent %d is not made ready", k.N.BitLen(), k.E)
	}
	want := rsa.VerifyPKCS1v15(k, hash, digest, signature) == nil
	if got := ready.VerifyPKCS1v15(hash, digest, signature); got != want {
		t.Errorf("%d bits, exponent %d, %v, signature %x: crypto/rsa says %v, this says %v", k.N.BitLen(), k.E, hash, signature, want, got)
	}
	return want
}

// What crypto/rsa says of a signature is what RSA says, for keys of all kinds and for
// signatures that are right, nearly right, of another length, and beyond the modulus.
func TestRSAAgrees(t *testing.T) {
	for n, k := range rsaKeys() {
		for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			if n > 1 && hash != crypto.SHA256 {
				continue
			}
			t.Run(fmt.Sprint(k.N.BitLen(), "-", k.E, "-", hash), func(t *testing.T) {
				h := hash.New()
				h.Write([]byte("signed"))
				digest := h.Sum(nil)
				em := make([]byte, k.Size())
				if !encodePKCS1v15(em, hash, digest) {
					t.Fatal("not encoded")
				}
				good := raw(k, em)
				if !agree(t, &k.PublicKey, hash, digest, good) {
					t.Fatal("a good signature is refused")
				}
				bad := func(what string, hash crypto.Hash, digest, signature []byte) {
					t.Helper()
					if agree(t, &k.PublicKey, hash, digest, signature) {
						t.Errorf("%s: accepted", what)
					}
				}
				for i := range good { // each octet, once
					if n > 1 && i%16 != 0 {
						continue
					}
					changed := append([]byte(nil), good...)
					changed[i] ^= byte(1 << (i % 8))
					bad(fmt.Sprint("octet ", i), hash, digest, changed)
				}
				for _, n := range []int{0, 1, len(good) / 2, len(good) - 1} {
					bad(fmt.Sprint("cut to ", n), hash, digest, good[:n])
				}
				bad("an octet more", hash, digest, append(append([]byte(nil), good...), 0))
				bad("a zero before it", hash, digest, append([]byte{0}, good...))
				bad("zero", hash, digest, make([]byte, len(good)))
				for _, d := range []int64{-1, 0, 1} {
					at := new(big.Int).Add(k.N, big.NewInt(d))
					bad(fmt.Sprint("the modulus and ", d), hash, digest, at.FillBytes(make([]byte, k.Size())))
				}
				// The same number to who reduces it.
				if above := new(big.Int).Add(new(big.Int).SetBytes(good), k.N); above.BitLen() <= 8*k.Size() {
					bad("beyond the modulus", hash, digest, above.FillBytes(make([]byte, k.Size())))
				}
				ones := make([]byte, len(good))
				for i := range ones {
					ones[i] = 0xff
				}
				bad("all ones", hash, digest, ones)
				other := append([]byte(nil), digest...)
				other[0] ^= 1
				bad("another digest", hash, other, good)
				for _, wrong := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
					if wrong != hash {
						bad("another hash", wrong, make([]byte, wrong.Size()), good)
					}
				}
				for what, forged := range forgeries(em, digestInfo[hash], digest) {
					bad(what, hash, digest, raw(k, forged))
				}
			})
		}
	}
}

// forgeries are encoded messages that a forgiving reader takes for right, each of the
// length of the right one: as in Project Wycheproof's rsa_signature tests.
func forgeries(em []byte, info string, digest []byte) map[string][]byte {
	size := len(em)
	change := func(at int, to byte) []byte {
		out := append([]byte(nil), em...)
		out[at] = to
		return out
	}
	// around is 00 01 ff… 00, what is given, and then zeros.
	around := func(padding int, tail ...byte) []byte {
		out := make([]byte, size)
		out[1] = 1
		for i := range padding {
			out[2+i] = 0xff
		}
		copy(out[3+padding:], tail)
		return out
	}
	suffix := func(info string) []byte { return append([]byte(info), digest...) }
	fit := func(tail []byte) []byte { return around(size-3-len(tail), tail...) }
	digestAt := size - len(digest)
	all := map[string][]byte{
		"block type 2":              change(1, 2),
		"block type 0":              change(1, 0),
		"padding of another octet":  change(2, 0xfe),
		"padding that ends early":   change(20, 0),
		"no zero after the padding": change(digestAt-len(info)-1, 0xff),
		"digest in front (2006)":    around(8, suffix(info)...),
		"no padding":                around(0, suffix(info)...),
		"short padding":             around(7, suffix(info)...),
		"no digest info":            fit(digest),
		"digest info only":          fit([]byte(info)),
		"digest cut":                fit(suffix(info)[:len(info)+len(digest)-1]),
		"digest with more after it": fit(append(suffix(info), 0)),
	}
	// The parameters may not be left out here, and no length may be spelt otherwise.
	bare := []byte(info)
	bare = append(bare[:len(bare)-4:len(bare)-4], bare[len(bare)-2:]...) // without 05 00
	bare[1] -= 2
	bare[3] -= 2
	all["no parameters"] = fit(append(bare, digest...))
	long := append([]byte{0x30, 0x81}, info[1:]...)
	all["a length in its long form"] = fit(append(long, digest...))
	indefinite := append([]byte{0x30, 0x80}, info[2:]...)
	all["an indefinite length"] = fit(append(append(indefinite, digest...), 0, 0))
	for i := range len(info) {
		all[fmt.Sprint("octet ", i, " of the digest info")] = change(digestAt-len(info)+i, info[i]^0x40)
	}
	return all
}

// A key that does not count is never made ready: crypto/rsa says what becomes of it.
func TestRSANotReady(t *testing.T) {
	k := rsaKeys()[0]
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	even := new(big.Int).Sub(k.N, big.NewInt(1))
	for what, public := range map[string]*rsa.PublicKey{
		"small": &small.PublicKey, "large": {N: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), maxRSABits), big.NewInt(1)), E: 65537},
		"even modulus": {N: even, E: 65537}, "negative": {N: new(big.Int).Neg(k.N), E: 65537}, "no modulus": {E: 65537},
		"exponent 1": {N: k.N, E: 1}, "exponent 2": {N: k.N, E: 2}, "exponent 0": {N: k.N}, "negative exponent": {N: k.N, E: -3}, "even exponent": {N: k.N, E: 65536},
	} {
		if NewRSA(public).modulus != nil {
			t.Errorf("%s: made ready", what)
		}
	}
	digest := make([]byte, 32)
	if (&RSA{PublicKey: &rsa.PublicKey{N: k.N, E: 1}}).VerifyPKCS1v15(crypto.SHA256, digest, make([]byte, k.Size())) {
		t.Error("a key that is not ready verified a signature of zeros")
	}
	em := make([]byte, k.Size())
	if encodePKCS1v15(em, crypto.SHA1, make([]byte, 20)) || encodePKCS1v15(em, crypto.SHA256, make([]byte, 31)) || encodePKCS1v15(em[:61], crypto.SHA256, digest) {
		t.Error("encoded what can't be")
	}
	if !encodePKCS1v15(em[:62], crypto.SHA256, digest) {
		t.Error("eight octets of padding are enough")
	}
}

// The two agree on whatever is sent.
func FuzzRSA(f *testing.F) {
	k := rsaKeys()[1]
	digest := make([]byte, 32)
	em := make([]byte, k.Size())
	encodePKCS1v15(em, crypto.SHA256, digest)
	f.Add(raw(k, em), digest, false)
	f.Add(em, digest, true)
	f.Add(k.N.Bytes(), digest, false)
	for _, forged := range forgeries(em, digestInfo[crypto.SHA256], digest) {
		f.Add(forged, digest, true)
	}
	f.Fuzz(func(t *testing.T, signature, digest []byte, encoded bool) {
		if encoded { // what is signed and not what is sent
			if len(signature) != k.Size() {
				return
			}
			signature = raw(k, signature)
		}
		if len(digest) != 32 { // nobody asks
			return
		}
		agree(t, &k.PublicKey, crypto.SHA256, digest, signature)
	})
}

func BenchmarkRSA(b *testing.B) {
	k := rsaKeys()[0]
	digest := make([]byte, 32)
	em := make([]byte, k.Size())
	encodePKCS1v15(em, crypto.SHA256, digest)
	signature, ready := raw(k, em), NewRSA(&k.PublicKey)
	b.Run("crypto/rsa", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if rsa.VerifyPKCS1v15(&k.PublicKey, crypto.SHA256, digest, signature) != nil {
				b.Fatal("refused")
			}
		}
	})
	b.Run("ready", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !ready.VerifyPKCS1v15(crypto.SHA256, digest, signature) {
				b.Fatal("refused")
			}
		}
	})
}
