package authz.lint

# METADATA
# description: The shape of data.authz.config as a JSON Schema, for the lint and for editors.
schema := {
	"$schema": "http://json-schema.org/draft-07/schema#",
	"title": "data.authz.config",
	"type": "object",
	"additionalProperties": false,
	"properties": {
		"https": _object({
			"enabled": _boolean,
			"host": {"type": "string", "pattern": `^([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?)?$`},
			"exempt": _strings,
			"hsts": {"anyOf": [{"enum": [false, null]}, _object({
				"max_age": _count,
				"include_subdomains": _boolean,
				"preload": _boolean,
			})]},
		}),
		"cors": _cors,
		"authn": _object({"realm": {"type": "string", "pattern": `^[ !#-\[\]-~]*$`}}),
		"csrf": _object({"enabled": _boolean, "origins": _origins, "trusted": _origins}),
		"roles": {"type": "object", "additionalProperties": _strings},
		"quotas": _object({
			"limits": _limits,
			"skip": _object({"routes": _strings, "roles": _strings, "subjects": _strings, "addresses": _strings}),
		}),
		"headers": _object({
			"set": {
				"type": "object",
				"propertyNames": {"pattern": "^[a-z0-9-]+$"},
				"additionalProperties": {"anyOf": [_value, {"enum": [false, null]}]},
			},
			"permissions_policy": {"anyOf": [_boolean, _value]},
			"csp": _object({
				"enabled": _boolean,
				"report_only": _boolean,
				"directives": {
					"type": "object",
					"propertyNames": {"pattern": "^[a-z-]+$"},
					"additionalProperties": {"anyOf": [
						{"type": "array", "items": {"type": "string", "pattern": "^[!-+./-:<-~-]+$"}},
						{"enum": [false, null]},
					]},
				},
			}),
		}),
		"identity": _object({"headers": {
			"type": "object",
			"propertyNames": {"pattern": "^[a-z0-9-]+$"},
			"additionalProperties": {"type": "string", "pattern": `^(subject|issuer|roles|scopes|claims\..+)$`},
		}}),
		"constraints": _bounds,
		"xss": _xss,
		"response": _object({"mask_errors": _boolean}),
		"schemas": {"type": "object", "additionalProperties": {"type": "object"}},
		"routes": {"type": "object", "additionalProperties": _row},
	},
}

_row := object.union(
	_object({
		"methods": {"type": "array", "minItems": 1, "items": {"type": "string"}},
		"path": {"type": "string", "pattern": "^/"},
		"title": {"type": "string"},
		"description": {"type": "string"},
		"public": _boolean,
		"authenticated": _boolean,
		"roles": _strings,
		"scopes": _strings,
		"owner": object.union(
			_object({"param": _name, "claim": _name, "bypass": _strings}),
			{"required": ["param", "claim"]},
		),
		"params": _place,
		"query": _place,
		"headers": _place,
		"body": {"anyOf": [_place, {"enum": [false]}]},
		"limits": _bounds,
		"quotas": {"anyOf": [_limits, {"enum": [false]}]},
		"csrf": _boolean,
		"cors": _cors,
		"xss": _xss,
		"app": {"type": "object"},
	}),
	{"required": ["methods", "path"]},
)

_cors := _object({
	"origins": {"type": "array", "items": {
		"type": "string",
		"pattern": `^(\*|https?://(\*\.[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:]+\])(:[0-9]{1,5})?)$`,
	}},
	"methods": _strings,
	"request_headers": _strings,
	"expose": _strings,
	"credentials": _boolean,
	"max_age": _count,
})

_limits := {"type": "object", "additionalProperties": {"anyOf": [{"enum": [false, null]}, object.union(
	_object({
		"by": {"enum": ["address", "user", "everybody"]},
		"limit": {"type": "integer", "minimum": 1},
		"burst": {"type": "integer", "minimum": 1},
		"cost": {"type": "integer", "minimum": 1},
		"window": {"anyOf": [{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`}, {"type": "number"}]},
		"charge": {"enum": ["request", "denied", "failed"]},
		"shadow": _boolean,
		"routes": _strings,
	}),
	{"required": ["limit", "window"]},
)]}}

_bounds := _object({
	"status": {"enum": [400, 422]},
	"max_bytes": _count,
	"max_depth": _count,
	"max_errors": _count,
	"body_required": _boolean,
	"content_types": {"type": "array", "items": {"type": "string", "pattern": "^[a-z0-9.+-]+/[a-z0-9.+-]+$"}},
})

_xss := _object({"mode": _mode, "fields": {"type": "object", "additionalProperties": _mode}})

_mode := {"enum": ["refuse", "flag", "off"]}

_place := {"anyOf": [{"type": "object"}, _name]}

_origins := {"type": "array", "items": {"type": "string", "pattern": `^https?://[a-z0-9.-]+(:[0-9]{1,5})?$`}}

_object(properties) := {"type": "object", "additionalProperties": false, "properties": properties}

_strings := {"type": "array", "items": {"type": "string"}}

_name := {"type": "string", "minLength": 1}

_value := {"type": "string", "minLength": 1, "pattern": "^[\t -~]*$"}

_count := {"type": "integer", "minimum": 0}

_boolean := {"type": "boolean"}
