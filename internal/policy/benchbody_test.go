package policy

import (
	"fmt"
	"strings"
	"testing"

	"authz/internal/check"
	"authz/policies"
)

// BenchmarkEvalBody is a decision of the library about a body of 1 KiB.
func BenchmarkEvalBody(b *testing.B) {
	engine := loadedEngine(b, tree{"data.yaml": `authz:
  config:
    https: { enabled: false }
    routes:
      users.create:
        methods: [POST]
        path: /users
        public: true
        body:
          type: object
          required: [name, email, items]
          properties:
            name: { type: string, minLength: 3 }
            email: { type: string, maxLength: 100 }
            items: { type: array, items: { type: object, required: [sku, count], properties: { sku: { type: string, pattern: "^[A-Z0-9-]+$" }, count: { type: integer, minimum: 1 } } } }
`}, Config{Library: policies.Library})
	var items []string
	for i := range 24 {
		items = append(items, fmt.Sprintf(`{"sku":"AB-%06d-XY","count":%d}`, i, i+1))
	}
	text := fmt.Sprintf(`{"name":"Alice Example","email":"alice@example.com","items":[%s]}`, strings.Join(items, ","))
	r := shopRequest()
	r.HTTP.Method, r.HTTP.Path, r.Path = "POST", "/users", []string{"users"}
	r.HTTP.Headers = append(r.HTTP.Headers, check.Header{Name: "content-type", Value: "application/json"})
	value, fault := check.ParseJSON(text, true)
	if fault != nil {
		b.Fatal(fault)
	}
	r.Body = check.Body{Value: value, Parsed: true}
	r.HTTP.Body, r.HTTP.Size = text, int64(len(text))
	token := &check.Token{Status: check.TokenAbsent}
	b.ReportAllocs()
	for b.Loop() {
		if result, err := engine.Eval(b.Context(), r, token); err != nil || !result.Allowed {
			b.Fatalf("%+v, %v", result, err)
		}
	}
}
