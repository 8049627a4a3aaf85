// Command meshconfig reads the value of meshConfig as JSON and says what Istio would not understand. It is a module of its
// own: Istio's API is no business of the product's.
package main

import (
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	mesh "istio.io/api/mesh/v1alpha1"
)

func main() {
	content, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = protojson.Unmarshal(content, new(mesh.MeshConfig))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "meshconfig:", err)
		os.Exit(1)
	}
}
