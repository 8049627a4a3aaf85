package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// A JSON Schema may point elsewhere with $ref. Two such pointers are dangerous
// here, and a policy needs neither:
//
//   - out of the document: OPA's schema library follows it over the network
//     unless allow_net stops it, and into the local file system whatever
//     allow_net says;
//   - in a circle that never descends into the document ({"$ref": "#"}): the
//     library recurses until the stack overflows, which in Go ends the process.
//
// So every $ref is "#" or "#/…", goes round only by way of a property or an item,
// and means the root by "#". Policy data, the text of the Rego files and the schemas in annotations
// are held to that when a policy is loaded, before OPA compiles any of them; a
// schema put together at run time is held to it by the two built-ins that
// compile schemas, which this file wraps.
const refKey = "$ref"

var (
	errRemoteRef   = errors.New("a schema's $ref must begin with # (no file, no network)")
	errCircularRef = errors.New("a schema's $ref goes in a circle")
	errNestedID    = errors.New("a schema with a $ref cannot have an id below its root")
	// refText finds a $ref in text that is not JSON as a whole, a template say.
	refText = regexp.MustCompile(`"\$ref"\s*:\s*"(?:[^#]|$)`)
)

// The wrapped built-ins replace the stock ones in this process. Names, types and
// results are the stock ones; only such a schema is an error, which OPA treats as
// any other built-in error.
func init() {
	guardSchema(ast.JSONMatchSchema.Name, 1)
	guardSchema(ast.JSONSchemaVerify.Name, 0)
}

func guardSchema(name string, operand int) {
	stock := topdown.GetBuiltin(name)
	topdown.RegisterBuiltinFunc(name, func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
		schema := operands[operand].Value
		known := func() bool { return compiledBefore(bctx, schema) }
		if name == ast.JSONMatchSchema.Name && fastMatch(bctx, operands[0].Value, schema, known) {
			return iter(matched())
		}
		if !known() {
			if err := checkSchemaValue(schema); err != nil {
				return err
			}
		}
		return stock(bctx, operands, iter)
	})
}

// compiledBefore: only the stock built-in stores under an object, and it was
// reached through the guard.
func compiledBefore(bctx topdown.BuiltinContext, schema ast.Value) bool {
	if _, ok := schema.(ast.Object); !ok || bctx.InterQueryBuiltinValueCache == nil {
		return false
	}
	_, ok := bctx.InterQueryBuiltinValueCache.Get(schema)
	return ok
}

// checkSchemaValue looks at a schema as the built-ins get it: an object, or text.
func checkSchemaValue(v ast.Value) error {
	var document any
	if s, ok := v.(ast.String); ok {
		if json.Unmarshal([]byte(s), &document) != nil {
			return nil // the built-in refuses it too
		}
	} else {
		var err error
		if document, err = ast.JSON(v); err != nil {
			return nil
		}
	}
	return checkSchema(document)
}

// checkSchema holds a whole schema, whose root is known, to both rules.
func checkSchema(document any) error {
	if err := checkRefs(document, "schema"); err != nil {
		return err
	}
	return checkCircles(document)
}

// checkRefs walks any JSON and names the first $ref that leaves its document.
func checkRefs(x any, path string) error {
	switch x := x.(type) {
	case map[string]any:
		if ref, ok := x[refKey].(string); ok && !isLocalRef(ref) {
			return fmt.Errorf("%s: %w: %q", path, errRemoteRef, ref)
		}
		for name, value := range x {
			if err := checkRefs(value, path+"."+name); err != nil {
				return err
			}
		}
	case []any:
		for i, value := range x {
			if err := checkRefs(value, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case string:
		if err := checkText(x); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// isLocalRef leaves out named anchors ("#name"): nothing here resolves them.
func isLocalRef(ref string) bool { return ref == "#" || strings.HasPrefix(ref, "#/") }

// checkText looks into text that is, or holds, a schema in JSON.
func checkText(s string) error {
	if !strings.Contains(s, "ref") && !strings.Contains(s, `\u`) {
		return nil
	}
	var document any
	if json.Unmarshal([]byte(s), &document) == nil {
		if _, isText := document.(string); isText {
			return nil
		}
		return checkRefs(document, "text")
	}
	if refText.MatchString(s) {
		return errRemoteRef
	}
	return nil
}

// checkModule looks at the literals and annotations of a parsed module. A $ref
// that is computed cannot be judged here and has no use either.
func checkModule(m *ast.Module) error {
	var faults []error
	refuse := func(loc *ast.Location, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", loc, err))
		}
	}
	ast.WalkTerms(m, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.String:
			refuse(t.Location, checkText(string(v)))
		case ast.Object:
			if ref := v.Get(ast.StringTerm(refKey)); ref != nil {
				if s, ok := ref.Value.(ast.String); !ok || !isLocalRef(string(s)) {
					refuse(t.Location, errRemoteRef)
				}
			}
		}
		return false
	})
	for _, annotation := range m.Annotations {
		for _, schema := range annotation.Schemas {
			if schema.Definition != nil {
				refuse(annotation.Location, checkSchema(*schema.Definition))
			}
		}
	}
	return errors.Join(faults...)
}
