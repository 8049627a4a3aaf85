// Two copies of the JSON Schema Test Suite as Go modules ship them, pinned by go.sum.
// A module of its own: the product does not depend on them.
module authz/oracle/suite

go 1.26

require (
	github.com/google/jsonschema-go v0.4.3
	github.com/xeipuuv/gojsonschema v1.2.0
)
