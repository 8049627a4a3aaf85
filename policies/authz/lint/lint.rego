# METADATA
# title: Lint
# description: |
#   What is wrong with data.authz.config, found without any request: keys that nothing
#   reads, values of the wrong type, names that lead nowhere, combinations that open
#   what they should close.
package authz.lint

import data.authz.defaults

# METADATA
# description: The data has another shape than the schema.
faults contains fault("shape", object.get(found, "field", ""), found.desc) if {
	is_object(data.authz.config)
	some found in json.match_schema(data.authz.config, schema)[1]
}

faults contains fault("shape", "", "is not an object") if {
	data.authz.config
	not is_object(data.authz.config)
}

# METADATA
# description: |
#   Answers with credentials cannot be for everybody (Fetch, 3.3.3); a page that may
#   use them must be named.
faults contains fault("cors", where, "an origin of * cannot go with credentials") if {
	some where, options in _cors_sections
	options.credentials == true
	"*" in options.origins
}

# METADATA
# description: A JSON Schema that OPA cannot compile would match nothing.
faults contains fault("schemas", where, "is not a JSON Schema") if {
	some where, schema_ in _json_schemas
	not json.verify_schema(schema_)[0]
}

# METADATA
# description: A named schema must exist.
faults contains fault("schemas", sprintf("routes.%s.%s", [id, place]), "names a schema that does not exist") if {
	some id, row in _routes
	some place in _places
	is_string(row[place])
	not data.authz.config.schemas[row[place]]
}

# METADATA
# description: A route for everybody that also asks for somebody means one of the two.
faults contains fault("routes", sprintf("routes.%s", [id]), "is public and has requirements as well") if {
	some id, row in _routes
	row.public == true
	count(object.filter(row, ["roles", "scopes", "owner", "authenticated"])) > 0
}

# METADATA
# description: An owner is found by a parameter of the route's own path.
faults contains fault("routes", sprintf("routes.%s.owner.param", [id]), "is no parameter of the path") if {
	some id, row in _routes
	is_string(row.owner.param)
	not regex.match(sprintf(`\{%s(:[a-z]+|\.\.\.)?\}`, [row.owner.param]), row.path)
}

# METADATA
# description: A list of routes names routes.
faults contains fault(section, section, sprintf("names %s, which is no route", [id])) if {
	some section, ids in {
		"https.exempt": object.get(data.authz.config, ["https", "exempt"], []),
		"quotas.skip.routes": object.get(data.authz.config, ["quotas", "skip", "routes"], []),
		"quotas.limits": [id |
			some limit in object.get(data.authz.config, ["quotas", "limits"], {})
			some id in limit.routes
		],
	}
	some id in ids
	not _routes[id]
}

# METADATA
# description: A block that cannot be read would leave nobody out, or an evaluation in ruins.
faults contains fault("quotas", "quotas.skip.addresses", sprintf("%v is no address block", [block])) if {
	some block in object.get(data.authz.config, ["quotas", "skip", "addresses"], [])
	not net.cidr_is_valid(block)
}

# METADATA
# description: One fault, as the loader and `authz validate` tell it.
fault(section, path, text) := {"section": section, "path": path, "fault": text}

_routes := object.get(data.authz.config, "routes", {})

_places := ["params", "query", "headers", "body"]

_cors_sections[where] := options if {
	options := object.union(defaults.cors, data.authz.config.cors)
	where := "cors"
}

_cors_sections[where] := options if {
	some id, row in _routes
	general := object.get(data.authz.config, "cors", {})
	options := object.union_n([defaults.cors, general, row.cors])
	where := sprintf("routes.%s.cors", [id])
}

_json_schemas[where] := given if {
	some name, given in data.authz.config.schemas
	where := sprintf("schemas.%s", [name])
}

_json_schemas[where] := given if {
	some id, row in _routes
	some place in _places
	given := row[place]
	is_object(given)
	where := sprintf("routes.%s.%s", [id, place])
}
