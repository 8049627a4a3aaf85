package inject

import (
	"fmt"
	"strings"
	"testing"
)

// The table of annotations in the documentation is this package's.
func TestDocumentedSettings(t *testing.T) {
	doc := string(read(t, "../../docs/kubernetes.md"))
	var want strings.Builder
	for _, s := range Settings {
		value := ""
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&want, "| `%s%s` | %s | %s |\n", Prefix, s.Name, s.Doc, value)
	}
	if !strings.Contains(doc, "| annotation | meaning | default |\n|---|---|---|\n"+want.String()+"\n") {
		t.Errorf("docs/kubernetes.md must have the rows\n%s", want.String())
	}
}
