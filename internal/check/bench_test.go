package check

import (
	"encoding/json"
	"strings"
	"testing"
)

func BenchmarkParsePath(b *testing.B) {
	for name, path := range map[string]string{
		"plain":   "/orders/6f1c2b7e-5a43-4d7e-9f60-1d2c3b4a5968/items?page=2",
		"escaped": "/orders/caf%C3%A9%20noir/items?page=2",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ParsePath(path)
			}
		})
	}
}

func BenchmarkStrict(b *testing.B) {
	r := plain()
	r.HTTP.Headers[7] = Header{"authorization", "Bearer " + strings.Repeat("x", 700)}
	b.ReportAllocs()
	for b.Loop() {
		if fault := Strict(r); fault != nil {
			b.Fatal(fault)
		}
	}
}

// kilobyte is an order of 1 KiB.
var kilobyte = func() string {
	const line = `{"sku":"AB-1234","name":"Ein \"Ding\" für 12 €","quantity":3,"price":12.50,"tags":["a","b"],"gift":false}`
	text := `{"customer":{"id":"6f1c2b7e-5a43","address":null},"lines":[` + line
	for len(text)+len(line) < 1022 {
		text += "," + line
	}
	return text + "]}"
}()

func BenchmarkJSON(b *testing.B) {
	b.Run("strict", func(b *testing.B) {
		b.SetBytes(int64(len(kilobyte)))
		b.ReportAllocs()
		for b.Loop() {
			if _, fault := ParseJSON(kilobyte, true); fault != nil {
				b.Fatal(fault)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(kilobyte)))
		b.ReportAllocs()
		for b.Loop() {
			var value any
			d := json.NewDecoder(strings.NewReader(kilobyte))
			d.UseNumber()
			if err := d.Decode(&value); err != nil {
				b.Fatal(err)
			}
		}
	})
}
