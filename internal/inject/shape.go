package inject

// wellFormed refuses a pod in which something that is changed here is of another
// type than Kubernetes knows: it would be lost.
func wellFormed(pod Object) error {
	if err := isObject(pod, "metadata", "spec"); err != nil {
		return err
	}
	if err := isObject(object(pod["metadata"]), "labels", "annotations"); err != nil {
		return err
	}
	spec := object(pod["spec"])
	names := map[string]bool{}
	for _, key := range []string{"initContainers", "containers", "volumes"} {
		items, isList := spec[key].([]any)
		if spec[key] != nil && !isList {
			return refuse("%s is no list", key)
		}
		for _, item := range items {
			o := object(item)
			if o == nil || textAt(o, "name") == "" {
				return refuse("an item of %s has no name", key)
			}
			if key != "volumes" {
				if names[textAt(o, "name")] {
					return refuse("two containers are named %s", textAt(o, "name"))
				}
				names[textAt(o, "name")] = true
			}
			if err := isObject(o, "lifecycle", "startupProbe", "readinessProbe", "livenessProbe"); err != nil {
				return err
			}
			if err := isObject(object(o["lifecycle"]), "postStart", "preStop"); err != nil {
				return err
			}
		}
	}
	return nil
}

// isObject refuses values at these keys that are no mappings.
func isObject(o Object, names ...string) error {
	for _, key := range names {
		if _, ok := o[key].(Object); o[key] != nil && !ok {
			return refuse("%s is no mapping", key)
		}
	}
	return nil
}
