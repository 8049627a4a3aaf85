package openapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// maxFaults is how many faults of an invalid document are told.
const maxFaults = 50

// validate asks kin-openapi whether the document is one, and tells every fault.
// Not a fault here: an example or a default that does not fit its schema, a
// pattern that Go cannot read (its place is reported later), two path templates
// that differ in their parameters' names only (the route table judges that).
func (l *library) validate() (version string, err error) {
	root, ok := l.root.value.(map[string]any)
	if !ok {
		return "", fmt.Errorf("%s: not an OpenAPI document: no object", l.root.name)
	}
	version, _ = root["openapi"].(string)
	switch {
	case root["swagger"] != nil:
		return "", fmt.Errorf("%s: Swagger 2.0; convert the document to OpenAPI 3 first", l.root.name)
	case !strings.HasPrefix(version, "3.0.") && !strings.HasPrefix(version, "3.1."):
		return "", fmt.Errorf("%s: openapi: %q is neither 3.0.x nor 3.1.x", l.root.name, root["openapi"])
	}
	if err := l.bounded(); err != nil {
		return "", fmt.Errorf("%s: %w", l.root.name, err)
	}
	text, err := json.Marshal(root)
	if err != nil {
		return "", fmt.Errorf("%s: %w", l.root.name, err)
	}
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, u *url.URL) ([]byte, error) { return l.read(u) }
	document, err := loader.LoadFromDataWithPath(text, &url.URL{Path: l.rootPath()})
	if err != nil {
		return "", fmt.Errorf("%s: %w", l.root.name, err)
	}
	err = document.Validate(context.Background(), openapi3.EnableMultiError(), openapi3.DisableExamplesValidation(),
		openapi3.DisableSchemaDefaultsValidation(), openapi3.DisableSchemaPatternValidation(), openapi3.AllowExtensionsWithRef())
	if found := faults(err); len(found) > 0 {
		return "", fmt.Errorf("%s: not a valid OpenAPI document:\n  %s", l.root.name, strings.Join(found, "\n  "))
	}
	return version, nil
}

const (
	// maxLevels is how deep a walk may go that follows every reference once, as
	// kin-openapi's does: recursively, at a cost that grows with the square. At the
	// bound it takes seconds.
	maxLevels = 5_000
	// maxHops is how many references may lead one to the next with nothing between.
	maxHops = 32
)

// bounded takes that walk, in the same order, and ends it in time.
func (l *library) bounded() error {
	seen := map[string]bool{}
	var walk func(f *file, x any, levels, hops int) error
	walk = func(f *file, x any, levels, hops int) error {
		switch {
		case levels > maxLevels:
			return fmt.Errorf("references lead deeper than %d levels", maxLevels)
		case hops > maxHops:
			return fmt.Errorf("more than %d references one after the other", maxHops)
		}
		switch x := x.(type) {
		case map[string]any:
			if ref, ok := x["$ref"].(string); ok {
				// What leads nowhere is told by whoever needs it.
				if target, err := l.follow(f, ref); err == nil && !seen[target.key()] {
					seen[target.key()] = true
					if err := walk(target.file, target.value, levels+1, hops+1); err != nil {
						return err
					}
				}
			}
			for _, name := range slices.Sorted(maps.Keys(x)) {
				if err := walk(f, x[name], levels+1, 0); err != nil {
					return err
				}
			}
		case []any:
			for _, item := range x {
				if err := walk(f, item, levels+1, 0); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return walk(l.root, l.root.value, 0, 0)
}

// read gives kin-openapi the same values that the translation sees.
func (l *library) read(u *url.URL) ([]byte, error) {
	name, err := l.fileName(l.root, u)
	if err != nil {
		return nil, err
	}
	f, err := l.load(name)
	if err != nil {
		return nil, err
	}
	return json.Marshal(f.value)
}

// rootPath is the root's own name in the folder.
func (l *library) rootPath() string {
	for name, f := range l.files {
		if f == l.root {
			return name
		}
	}
	return ""
}

func faults(err error) []string {
	var many openapi3.MultiError
	var conflict *openapi3.ConflictingPathsError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &many) && len(many) > 0:
		// kin-openapi wraps what it says of a section around each of its faults.
		outer := strings.TrimSuffix(err.Error(), many.Error())
		var all []string
		for _, one := range many {
			for _, fault := range faults(one) {
				all = append(all, outer+fault)
			}
		}
		slices.Sort(all)
		if all = slices.Compact(all); len(all) > maxFaults {
			all = append(all[:maxFaults], fmt.Sprintf("and %d more", len(all)-maxFaults))
		}
		return all
	case errors.As(err, &conflict):
		return nil
	}
	return []string{strings.ReplaceAll(err.Error(), "\n", " ")}
}
