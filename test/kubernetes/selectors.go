package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// object is as much of a manifest as says whom it selects and what it makes.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Selector    yaml.Node // of a Service the labels themselves, else matchLabels
		PodSelector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"podSelector"`
		Template struct {
			Metadata struct{ Labels map[string]string }
		}
	}
}

// selects counts the Services, NetworkPolicies and PodDisruptionBudgets that select
// pods of the same manifest. A NetworkPolicy is not enforced here, but one that selects
// nobody would protect nobody anywhere.
func selects(manifest string) (count int, err error) {
	var all []object
	for decoder := yaml.NewDecoder(strings.NewReader(manifest)); ; {
		var o object
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, err
		}
		all = append(all, o)
	}
	var faults []error
	for _, o := range all {
		wanted := map[string]string{}
		switch o.Kind {
		case "Service":
			err = o.Spec.Selector.Decode(&wanted)
		case "PodDisruptionBudget":
			selector := o.Spec.PodSelector
			err = o.Spec.Selector.Decode(&selector)
			wanted = selector.MatchLabels
		case "NetworkPolicy":
			wanted = o.Spec.PodSelector.MatchLabels
		default:
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("%s %s: %w", o.Kind, o.Metadata.Name, err)
		}
		count++
		if !anyPod(all, wanted) {
			faults = append(faults, fmt.Errorf("%s %s selects %v, and no pod of this manifest has that", o.Kind, o.Metadata.Name, wanted))
		}
	}
	return count, errors.Join(faults...)
}

func anyPod(all []object, wanted map[string]string) bool {
	for _, o := range all {
		labels, matches := o.Spec.Template.Metadata.Labels, true
		for key, value := range wanted {
			matches = matches && labels[key] == value
		}
		if matches && len(labels) > 0 {
			return true
		}
	}
	return false
}
